//! The demo: a journal of real data in a temporary folder, and what becomes of tampering with it.
//! Nothing of the user's is touched: key, known journals and journal are all in that folder.

mod forge;
mod setting;
mod tamper;

use anyhow::Result;
use factlog::Outcome;
use serde::Serialize;

use crate::commands::reading::streams;
use crate::commands::{Evidence, report_json, run_verify, show_report};
use crate::event;
use crate::exit::{Exit, Problem};
use crate::opening::KnownArgs;
use crate::output::{BAD, BOLD, DIM, GOOD, OPEN, Output, styled, table};
use setting::Setting;

/// So many streams are shown.
const STREAMS: usize = 10;

#[derive(Serialize)]
struct Made<'a> {
    schema: &'static str,
    step: &'static str,
    source: &'a str,
    events: u64,
    streams: u64,
    receipt: &'a str,
}

#[derive(Serialize)]
struct Tampered {
    schema: &'static str,
    step: &'static str,
    tampering: &'static str,
    found: bool,
    verdicts: Vec<Verdict>,
}

/// What verification says with one piece of evidence.
#[derive(Serialize)]
struct Verdict {
    evidence: &'static str,
    outcome: &'static str,
    integrity: &'static str,
    authenticity: &'static str,
    completeness: &'static str,
    codes: Vec<&'static str>,
    /// The first thing that this evidence exposed.
    #[serde(skip)]
    detail: String,
}

pub(crate) fn run(out: &mut Output) -> Result<Exit> {
    let setting = Setting::make(false)?;
    show_journal(&setting, out)?;
    let evidence = setting.known_only();
    let report = run_verify(&setting.journal, &evidence)?;
    if out.is_json() {
        out.object(&report_json(&report, &evidence, "factlog.demo/1"))?;
    } else {
        title(
            "Verified, with the key and checkpoint that this machine remembers",
            out,
        )?;
        show_report(&report, &evidence, out)?;
    }
    if report.outcome(false) != Outcome::Holds {
        let message = "the untouched journal does not hold";
        return Err(Problem::new(Exit::Failed, "demo.failed", message).into());
    }
    tamper_with(&setting, true, out)?;
    if !out.is_json() {
        let end = "Every tampering was found. Everything was done in a temporary folder, now gone.";
        out.line(format!("\n{}", styled(GOOD, end)))?;
    }
    Ok(Exit::Done)
}

/// Shows that verification finds what it should, on a small journal in a temporary folder.
pub(crate) fn self_test(out: &mut Output) -> Result<Exit> {
    let setting = Setting::make(true)?;
    let evidence = setting.known_only();
    let report = run_verify(&setting.journal, &evidence)?;
    if report.outcome(false) != Outcome::Holds {
        let message = "the untouched journal does not hold";
        return Err(Problem::new(Exit::Failed, "demo.failed", message).into());
    }
    if !out.is_json() {
        let count = report.events;
        out.line(format!(
            "A journal of {count} events in a temporary folder holds."
        ))?;
    }
    tamper_with(&setting, false, out)?;
    if !out.is_json() {
        out.line(styled(GOOD, "Every tampering was found."))?;
    }
    Ok(Exit::Done)
}

/// Tampers with copies in all ways; in `full`, or a line for each.
fn tamper_with(setting: &Setting, full: bool, out: &mut Output) -> Result<()> {
    let mut all_found = true;
    for tampering in tamper::ALL {
        let copy = setting.copy(tampering.name)?;
        (tampering.act)(setting, &copy)?;
        let mut verdicts = Vec::new();
        for (name, evidence) in setting.evidence() {
            verdicts.push(judge(name, &copy, &evidence)?);
        }
        let found = verdicts.iter().any(|verdict| verdict.outcome == "fails");
        all_found &= found;
        let tampered = Tampered {
            schema: "factlog.demo/1",
            step: "tampered",
            tampering: tampering.name,
            found,
            verdicts,
        };
        if out.is_json() {
            out.object(&tampered)?;
        } else if full {
            show_tampered(tampering.title, &tampered, out)?;
        } else {
            let by = tampered
                .verdicts
                .iter()
                .filter(|verdict| verdict.outcome == "fails");
            let by: Vec<_> = by
                .map(|verdict| format!("{} ({})", verdict.evidence, verdict.codes.join(", ")))
                .collect();
            let (style, word) = if found {
                (GOOD, "found")
            } else {
                (BAD, "not found")
            };
            let name = format!("{:<16}", tampering.name);
            out.line(format!(
                "{name} {} by {}",
                styled(style, word),
                by.join("; ")
            ))?;
        }
        out.flush()?;
    }
    if !all_found {
        let message = "a tampering went unseen";
        return Err(Problem::new(Exit::Failed, "demo.failed", message).into());
    }
    Ok(())
}

fn show_journal(setting: &Setting, out: &mut Output) -> Result<()> {
    let reader = setting.reader()?;
    let mut streams = reader.streams().collect::<Result<Vec<_>, _>>()?;
    if out.is_json() {
        return out.object(&Made {
            schema: "factlog.demo/1",
            step: "made",
            source: &setting.source,
            events: reader.len(),
            streams: streams.len() as u64,
            receipt: &setting.receipt_text,
        });
    }
    let count = streams.len();
    title(
        &format!("{} events from {}, signed", reader.len(), setting.source),
        out,
    )?;
    streams.sort_by_key(|stream| std::cmp::Reverse(stream.events));
    let mut rows = streams::empty();
    for stream in streams.iter().take(STREAMS) {
        streams::add(&mut rows, stream);
    }
    out.line(rows)?;
    if count > STREAMS {
        out.line(styled(DIM, format!("… and {} more", count - STREAMS)))?;
    }
    title("One event", out)?;
    if let Some(event) = reader.get(setting.sequence)? {
        out.line(event::page(&event)?)?;
    }
    title(
        "Its receipt: whoever has this and the public key needs no journal",
        out,
    )?;
    out.write(setting.receipt_text.as_bytes())?;
    setting.check_receipt()?;
    out.line(styled(GOOD, "\nThe receipt holds, on its own."))
}

fn title(text: &str, out: &mut Output) -> Result<()> {
    out.line(format!("\n{}\n", styled(BOLD, format!("── {text}"))))
}

fn judge(name: &'static str, dir: &std::path::Path, evidence: &Evidence) -> Result<Verdict> {
    let report = run_verify(dir, evidence)?;
    let mut codes: Vec<&'static str> = report.findings.iter().map(|finding| finding.code).collect();
    codes.dedup();
    // What the evidence itself says tells more than what the journal says.
    let first = report
        .findings
        .iter()
        .min_by_key(|finding| match finding.evidence {
            factlog::Evidence::Journal => 2,
            factlog::Evidence::Key => 1,
            _ => 0,
        });
    Ok(Verdict {
        evidence: name,
        outcome: match report.outcome(false) {
            Outcome::Holds => "holds",
            Outcome::Fails => "fails",
            Outcome::Undecided => "undecided",
        },
        integrity: report.integrity.name(),
        authenticity: report.authenticity.name(),
        completeness: report.completeness.name(),
        codes,
        detail: first.map_or_else(String::new, |finding| {
            format!("{}: {}", finding.code, finding.detail)
        }),
    })
}

fn show_tampered(what: &str, tampered: &Tampered, out: &mut Output) -> Result<()> {
    title(what, out)?;
    let mut rows = table(&[
        "evidence",
        "verdict",
        "integrity",
        "authenticity",
        "completeness",
        "finding",
    ]);
    for verdict in &tampered.verdicts {
        rows.add_row([
            verdict.evidence,
            verdict.outcome,
            verdict.integrity,
            verdict.authenticity,
            verdict.completeness,
            &verdict.detail,
        ]);
    }
    out.line(rows)?;
    let by: Vec<&str> = tampered
        .verdicts
        .iter()
        .filter(|verdict| verdict.outcome == "fails")
        .map(|verdict| verdict.evidence)
        .collect();
    if by.is_empty() {
        return out.line(styled(BAD, "Not found."));
    }
    let alone = tampered
        .verdicts
        .iter()
        .any(|verdict| verdict.evidence == setting::NOTHING && verdict.outcome == "fails");
    let (style, text) = if alone {
        (
            GOOD,
            "Found in the journal itself; no evidence from outside is needed.".to_owned(),
        )
    } else {
        (
            OPEN,
            format!(
                "The journal agrees with itself. Exposed by: {}.",
                by.join(", ")
            ),
        )
    };
    out.line(styled(style, text))
}

impl Setting {
    fn known_only(&self) -> Evidence {
        Evidence {
            known: KnownArgs::file(&self.known),
            ..Evidence::default()
        }
    }

    /// Every piece of evidence on its own.
    fn evidence(&self) -> [(&'static str, Evidence); 4] {
        let by_hand = || Evidence {
            vkey: Some(self.vkey.clone()),
            known: KnownArgs::none(),
            ..Evidence::default()
        };
        [
            (
                setting::NOTHING,
                Evidence {
                    known: KnownArgs::none(),
                    ..Evidence::default()
                },
            ),
            ("known journals", self.known_only()),
            (
                "saved checkpoint",
                Evidence {
                    checkpoints: vec![self.checkpoint.clone()],
                    ..by_hand()
                },
            ),
            (
                "receipt",
                Evidence {
                    receipts: vec![self.receipt.clone()],
                    ..by_hand()
                },
            ),
        ]
    }
}

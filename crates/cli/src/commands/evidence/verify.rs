use std::path::PathBuf;

use anyhow::Result;
use factlog::{CaseReport, CaseVerdict, VerifiedCase, verify_case};
use factlog_format::CaseEdge;
use serde::Serialize;

use super::{Brought, Known, Tables, exit, report, tables};
use crate::exit::{ClosedPipe, Exit};
use crate::output::{BAD, GOOD, OPEN, Output, shown, styled};
use crate::time;

/// The most findings that are shown to people.
const MOST: usize = 20;

/// Check an evidence case on its own: it needs no journal and no network
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog verify-evidence q1.case --vkey ledger.vkey
  factlog verify-evidence q2.case --vkey ledger.vkey --after q1.case --csv q2.csv
  factlog verify-evidence q2.case --vkey ledger.vkey --policy witnesses.policy")]
pub(crate) struct Args {
    /// The case
    file: PathBuf,
    #[command(flatten)]
    known: Known,
    #[command(flatten)]
    tables: Tables,
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    /// Of the file.
    sha256: String,
    vkey: String,
    outcome: &'static str,
    integrity: &'static str,
    authenticity: &'static str,
    completeness: &'static str,
    findings: Vec<FindingJson>,
    /// The case before that it was compared with.
    compared: Option<ComparedJson>,
    /// What the case says; not to be believed where the outcome is another than `holds`.
    case: Option<CaseJson>,
}

#[derive(Serialize)]
struct FindingJson {
    code: &'static str,
    question: &'static str,
    undecided: bool,
    sequence: Option<u64>,
    detail: String,
}

#[derive(Serialize)]
struct ComparedJson {
    file: String,
    size: u64,
    first: u64,
    end: u64,
}

#[derive(Serialize)]
struct CaseJson {
    origin: String,
    size: u64,
    root: String,
    signers: Vec<String>,
    manifest: Option<u64>,
    tool: String,
    made_at: String,
    from: String,
    until: String,
    first: u64,
    end: u64,
    closed: bool,
    streams: Vec<String>,
    kinds: Vec<String>,
    tags: Vec<String>,
    redacted: Vec<String>,
    after: Option<u64>,
    selected: u64,
    unknown: u64,
    kind_counts: Vec<Count>,
    stream_counts: Vec<Count>,
}

#[derive(Serialize)]
struct Count {
    name: String,
    events: u64,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let brought = args.known.bring(&args.file)?;
    let checked = verify_case(&brought.bytes, &brought.trust);
    if let (Some(case), CaseVerdict::Holds) = (&checked.case, checked.overall()) {
        tables::write(&args.tables, case)?;
    }
    let printed = if out.is_json() {
        out.object(&json(&brought, &checked))
    } else {
        page(&brought, &checked, out)
    };
    match printed.and_then(|()| out.flush()) {
        Err(error) if !error.is::<ClosedPipe>() => Err(error),
        _ => Ok(exit(checked.overall())),
    }
}

fn page(brought: &Brought, checked: &CaseReport<'_>, out: &mut Output) -> Result<()> {
    out.line(match checked.overall() {
        CaseVerdict::Holds => styled(GOOD, "The case holds."),
        CaseVerdict::Fails => styled(BAD, "The case does not hold."),
        CaseVerdict::Undecided => styled(OPEN, "The case can't be decided."),
    })?;
    for line in report::verdicts(checked) {
        out.line(line)?;
    }
    for finding in checked.findings.iter().take(MOST) {
        let word = styled(if finding.undecided { OPEN } else { BAD }, finding.code);
        out.line(format!("{word}: {}", shown(&finding.to_string())))?;
    }
    if checked.findings.len() > MOST {
        out.line(format!("and {} more", checked.findings.len() - MOST))?;
    }
    let Some(case) = &checked.case else {
        return Ok(());
    };
    if checked.overall() != CaseVerdict::Holds {
        return out.line("What the case says of itself is not shown: it is not to be relied on.");
    }
    let said = report::identity(brought, case).into_iter();
    let said = said.chain(report::population(case));
    for line in said.chain(report::proven(brought, case)) {
        out.line(line)?;
    }
    Ok(())
}

fn json(brought: &Brought, checked: &CaseReport<'_>) -> Json {
    let findings = checked.findings.iter().map(|finding| FindingJson {
        code: finding.code,
        question: finding.question.word(),
        undecided: finding.undecided,
        sequence: finding.sequence,
        detail: finding.detail.clone(),
    });
    Json {
        schema: "factlog.verify-evidence/1",
        sha256: brought.sha256.clone(),
        vkey: brought.vkey.clone(),
        outcome: checked.overall().word(),
        integrity: checked.integrity().word(),
        authenticity: checked.authenticity().word(),
        completeness: checked.completeness().word(),
        findings: findings.collect(),
        compared: brought.before.as_ref().map(|before| ComparedJson {
            file: before.file.clone(),
            size: before.checkpoint.claimed().size(),
            first: before.statement.first,
            end: before.statement.end,
        }),
        case: checked.case.as_ref().map(case_json),
    }
}

fn case_json(case: &VerifiedCase<'_>) -> CaseJson {
    let (statement, claimed) = (&case.statement, case.checkpoint.claimed());
    let edge = |edge: CaseEdge| match edge {
        CaseEdge::Sequence(sequence) => sequence.to_string(),
        CaseEdge::Recorded(micros) => time::show(micros),
    };
    let count = |(name, events): (String, u64)| Count { name, events };
    let kinds = statement.kind_counts.iter().cloned();
    let streams = statement.streams.iter();
    CaseJson {
        origin: claimed.origin().to_owned(),
        size: claimed.size(),
        root: claimed.root().to_string(),
        signers: case.signers.iter().map(ToString::to_string).collect(),
        manifest: case.file.manifest,
        tool: statement.tool.clone(),
        made_at: time::show(statement.made_at),
        from: edge(statement.from),
        until: edge(statement.until),
        first: statement.first,
        end: statement.end,
        closed: matches!(statement.until, CaseEdge::Recorded(_)) && !case.ends_with_journal(),
        streams: streams
            .map(|(scope, entity)| format!("{scope}/{entity}"))
            .collect(),
        kinds: statement.kinds.clone(),
        tags: statement.tags.clone(),
        redacted: statement.redacted.clone(),
        after: statement.after.map(|(size, _)| size),
        selected: statement.selected,
        unknown: statement.unknown,
        kind_counts: kinds.map(count).collect(),
        stream_counts: report::streams(case).into_iter().map(count).collect(),
    }
}

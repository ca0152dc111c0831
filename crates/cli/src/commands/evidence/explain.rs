use std::path::PathBuf;

use anyhow::Result;
use data_encoding::HEXLOWER;
use factlog::{EventRecord, Hash, Policy, UnverifiedReceipt};
use factlog_proof::{TlogProof, leaf_hash, node_hash};
use serde::Serialize;

use crate::exit::{Exit, Problem};
use crate::output::{BAD, GOOD, OPEN, Output, shown, styled};
use crate::{opening, time};

/// Explain a receipt step by step: what it claims, and how each step of it can be checked
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog explain event-42.receipt
  factlog explain event-42.receipt --vkey ledger.vkey")]
pub(crate) struct Args {
    /// The receipt, or `-` for standard input
    file: PathBuf,
    /// The journal's verifier key, known to you from elsewhere: the key, or a file that holds it
    #[arg(long, value_name = "KEY")]
    vkey: Option<String>,
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    /// Whether it was verified, and holds; null without a key.
    holds: Option<bool>,
    code: Option<&'static str>,
    origin: String,
    size: u64,
    sequence: u64,
    event_hash: String,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    /// `leaf`, or on which side the sibling stands.
    side: &'static str,
    sibling: Option<String>,
    hash: String,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let bytes = super::read_receipt(&args.file)?;
    let refuse = |code, why: String| Problem::new(Exit::NotHolding, code, why);
    let proof =
        TlogProof::parse(&bytes).map_err(|error| refuse(error.code(), error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    let (extra, index, path) = parts(&text);
    let record = extra.and_then(|extra| EventRecord::decode(&extra).ok());
    let Some(record) = record else {
        return Err(refuse("receipt.event", "there is no event in the proof".to_owned()).into());
    };
    let claimed = proof.claimed_checkpoint();
    let event_hash = record.event_hash();
    let steps = steps(leaf_hash(&event_hash), index, claimed.size(), &path);
    let verified = match &args.vkey {
        Some(vkey) => {
            let policy = Policy::from(opening::verifier_key(vkey)?).refuse_unknown_signatures();
            Some(UnverifiedReceipt::from(proof.clone()).verify(&policy))
        }
        None => None,
    };
    let exit = match &verified {
        None => Exit::Undecided,
        Some(Ok(_)) => Exit::Done,
        Some(Err(_)) => Exit::NotHolding,
    };
    let code = verified.as_ref().and_then(|verified| {
        verified
            .as_ref()
            .err()
            .map(factlog_proof::ReceiptError::code)
    });
    if out.is_json() {
        out.object(&Json {
            schema: "factlog.explain/1",
            holds: verified.as_ref().map(Result::is_ok),
            code,
            origin: claimed.origin().to_owned(),
            size: claimed.size(),
            sequence: index,
            event_hash: HEXLOWER.encode(&event_hash),
            steps,
        })?;
        return Ok(exit);
    }
    out.line(match &verified {
        None => styled(
            OPEN,
            "Not verified: give --vkey KEY. What follows is what it claims.",
        ),
        Some(Ok(_)) => styled(GOOD, "The receipt holds."),
        Some(Err(error)) => styled(
            BAD,
            format!(
                "The receipt does not hold: {error} ({}). What follows is what it claims.",
                error.code()
            ),
        ),
    })?;
    let what = record.facts().map_or_else(
        || "an event whose facts are not in the receipt".to_owned(),
        |facts| {
            let stream = format!("{}/{}", shown(facts.scope), shown(facts.entity));
            format!("{} of {stream}", shown(facts.kind))
        },
    );
    let recorded = time::show(record.spine().recorded_at);
    out.line(format!(
        "1. It is about event {index}: {what}, recorded at {recorded}."
    ))?;
    out.line("2. Its facts, with their salt, hash (BLAKE3, context \"factlog 1 facts\") to")?;
    out.line(format!(
        "   {}, which stands in its spine.",
        HEXLOWER.encode(&record.spine().facts_hash)
    ))?;
    out.line(
        "3. The spine of 128 bytes hashes (BLAKE3, context \"factlog 1 event\") to the event hash",
    )?;
    out.line(format!("   {}", HEXLOWER.encode(&event_hash)))?;
    out.line("4. In the Merkle tree (SHA-256, RFC 6962) the event is a leaf, hashed upwards:")?;
    for step in &steps {
        out.line(match (step.side, &step.sibling) {
            ("left", Some(sibling)) => format!("   {sibling} on its left gives {}", step.hash),
            (_, Some(sibling)) => format!("   {sibling} on its right gives {}", step.hash),
            _ => format!("   the leaf is {}", step.hash),
        })?;
    }
    let root = HEXLOWER.encode(claimed.root().as_bytes());
    let led = steps.last().is_some_and(|step| step.hash == root);
    let led = if led { "which is" } else { "which is NOT" };
    out.line(format!("   {led} the root of the checkpoint: {root}"))?;
    let says = format!("{} had {} events", shown(claimed.origin()), claimed.size());
    out.line(match &verified {
        Some(Ok(_)) => format!(
            "5. The checkpoint says that {says}; its signature says that the holder of the key says so."
        ),
        Some(Err(_)) => {
            format!("5. The checkpoint claims that {says}. The key given doesn't vouch for that.")
        }
        None => format!("5. The checkpoint claims that {says}. No signature was checked."),
    })?;
    out.line(
        "The payload is not in a receipt, and was not checked: verify-receipt --event does that.",
    )?;
    out.line("It doesn't say that what was recorded is true, or that nothing else was recorded.")?;
    Ok(exit)
}

/// Extra data, index and path of a proof that parses.
fn parts(text: &str) -> (Option<Vec<u8>>, u64, Vec<Hash>) {
    let mut extra = None;
    let mut index = 0;
    let mut path = Vec::new();
    for line in text.lines().skip(1).take_while(|line| !line.is_empty()) {
        if let Some(encoded) = line.strip_prefix("extra ") {
            extra = data_encoding::BASE64.decode(encoded.as_bytes()).ok();
        } else if let Some(number) = line.strip_prefix("index ") {
            index = number.parse().unwrap_or_default();
        } else {
            path.extend(Hash::from_base64(line));
        }
    }
    (extra, index, path)
}

/// RFC 9162, section 2.1.3.2, with every hash on the way.
fn steps(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Vec<Step> {
    let hex = |hash: &Hash| HEXLOWER.encode(hash.as_bytes());
    let mut steps = vec![Step {
        side: "leaf",
        sibling: None,
        hash: hex(&leaf),
    }];
    let (mut node, mut last, mut hash) = (index, size.saturating_sub(1), leaf);
    for sibling in path {
        let left = node & 1 == 1 || node == last;
        hash = match left {
            true => node_hash(sibling, &hash),
            false => node_hash(&hash, sibling),
        };
        while left && node & 1 == 0 && node > 0 {
            (node, last) = (node >> 1, last >> 1);
        }
        (node, last) = (node >> 1, last >> 1);
        steps.push(Step {
            side: if left { "left" } else { "right" },
            sibling: Some(hex(sibling)),
            hash: hex(&hash),
        });
    }
    steps
}

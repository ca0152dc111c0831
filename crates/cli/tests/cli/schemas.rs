//! Every JSON output is of the shape that `fixtures/schemas` publishes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::Place;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/schemas")
}

/// Checks a value against the part of JSON Schema that our schemas are written in.
fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let fail = |why: &str| Err(format!("{at}: {why}: {value}"));
    for keyword in schema
        .as_object()
        .into_iter()
        .flat_map(|schema| schema.keys())
    {
        let known = [
            "$schema",
            "$id",
            "title",
            "description",
            "type",
            "properties",
            "required",
            "additionalProperties",
            "items",
            "enum",
            "const",
            "minimum",
            "maximum",
        ];
        if !known.contains(&keyword.as_str()) {
            return fail(&format!("the keyword {keyword} is not checked here"));
        }
    }
    if let Some(wanted) = schema.get("const")
        && wanted != value
    {
        return fail("another constant");
    }
    if let Some(list) = schema.get("enum").and_then(Value::as_array)
        && !list.contains(value)
    {
        return fail("not in the list");
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|wanted| wanted == kind),
        Some(wanted) => wanted == kind,
        None => true,
    };
    if !fits {
        return fail("another type");
    }
    let within = |bound: &str| schema.get(bound).and_then(Value::as_i64);
    if let Some(number) = value.as_i64()
        && (within("minimum").is_some_and(|least| number < least)
            || within("maximum").is_some_and(|most| number > most))
    {
        return fail("out of range");
    }
    for item in value.as_array().into_iter().flatten() {
        check(schema.get("items").unwrap_or(&json!({})), item, at)?;
    }
    let Some(object) = value.as_object() else {
        return Ok(());
    };
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    for (name, value) in object {
        match properties.get(name) {
            Some(schema) => check(schema, value, &format!("{at}.{name}"))?,
            None => return fail(&format!("{name} is not in the schema")),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(name.as_str().unwrap()) {
            return fail(&format!("{name} is missing"));
        }
    }
    Ok(())
}

#[test]
fn the_check_bites() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"type": ["integer", "null"], "minimum": 0}, "b": {"enum": ["x"]}},
        "required": ["a"],
        "additionalProperties": false,
    });
    for (value, good) in [
        (json!({"a": 1}), true),
        (json!({"a": null, "b": "x"}), true),
        (json!({"a": -1}), false),
        (json!({"a": "1"}), false),
        (json!({"a": 1, "b": "y"}), false),
        (json!({"b": "x"}), false),
        (json!({"a": 1, "c": 1}), false),
        (json!([]), false),
    ] {
        assert_eq!(check(&schema, &value, "").is_ok(), good, "{value}");
    }
}

#[test]
fn every_output_fits_its_schema_and_every_schema_is_met() {
    let place = Place::new();
    let mut outputs = Vec::new();
    let mut run = |args: &[&str], code: i32| {
        let ran = place.run(&[args, &["--json"]].concat()).exits(code);
        let objects = ran.objects();
        if code != 0 && objects.is_empty() {
            outputs.push(ran.error());
        }
        outputs.extend(objects.iter().cloned());
        objects
    };
    let made = run(&["init", "j"], 0);
    let vkey = made[0]["vkey"].as_str().unwrap().to_owned();
    run(&["init", "u", "--no-sign"], 0);
    let event = [
        "append",
        "j",
        "a/1",
        "x",
        "--data",
        "{\"n\":1}",
        "--tag",
        "t",
        "--actor",
        "b",
    ];
    run(
        &[&event[..], &["--occurred-at", "2026-01-01T00:00:00Z"]].concat(),
        0,
    );
    place.write("raw", b"\xff");
    run(&["append", "j", "a/1", "x", "--file", "raw"], 0);
    place.write("lines", "1\n{\n");
    run(
        &["import", "j", "lines", "--format", "jsonl", "--skip-bad"],
        0,
    );
    run(&["log", "j"], 0);
    for sequence in ["0", "1", "2"] {
        run(&["show", "j", sequence], 0);
    }
    run(&["ancestry", "j", "2"], 0);
    run(&["ancestry", "j", "2", "--limit", "1"], 0);
    run(&["streams", "j"], 0);
    run(&["stats", "j"], 0);
    run(&["receipt", "j", "1"], 0);
    run(&["checkpoint", "j"], 0);
    run(&["receipt", "j", "1", "-o", "r"], 0);
    run(&["verify", "j"], 0);
    run(&["verify", "u"], 4);
    place.copy("j", "damaged");
    place.write("damaged/MANIFEST", "");
    run(&["verify", "damaged"], 3);
    run(&["inspect", "damaged"], 3);
    run(&["repair", "damaged", "--out", "salvaged"], 0);
    run(&["repair", "damaged"], 0);
    run(&["inspect", "damaged"], 0);
    run(&["reset", "damaged"], 2);
    run(&["reset", "damaged", "--yes"], 0);
    run(&["destroy", "salvaged", "--yes"], 0);
    run(&["verify-receipt", "r", "--vkey", &vkey], 0);
    run(&["verify-receipt", "raw", "--vkey", &vkey], 3);
    run(&["explain", "r"], 4);
    run(&["explain", "r", "--vkey", &vkey], 0);
    run(&["evidence", "j", "-o", "c", "--stream", "a/1"], 0);
    run(&["evidence", "j", "-o", "d", "--unlogged"], 0);
    run(&["verify-evidence", "c", "--vkey", &vkey], 0);
    run(&["evidence", "j", "-o", "e", "--after", "c"], 0);
    run(
        &["verify-evidence", "e", "--vkey", &vkey, "--after", "c"],
        0,
    );
    run(&["verify-evidence", "raw", "--vkey", &vkey], 3);
    run(&["sample", "c", "--vkey", &vkey, "--seed", "s"], 0);
    run(&["witness", "init", "w", "--name", "witness.example/w"], 0);
    run(&["witness", "trust", "w", &vkey], 0);
    run(&["witness", "ask", "j", "-o", "request"], 0);
    run(&["witness", "cosign", "w", "request"], 0);
    run(&["publish", "j", "public"], 0);
    let policy = "[[rule]]\nname = 'a'\nreason = 'r'\nscope = 'a'\n";
    place.write("policy", policy);
    run(&["retain", "j", "--policy", "policy", "--dry-run"], 0);
    run(&["retain", "j", "--policy", "policy"], 0);
    run(&["compact", "j", "--dry-run"], 0);
    run(&["compact", "j", "--rate", "50"], 0);
    run(&["anchor", "add", "j", "file:anchored"], 0);
    run(&["anchor", "list", "j"], 0);
    run(&["anchor", "remove", "j", "file:anchored"], 0);
    run(&["keys", "rotate", "j"], 0);
    run(&["keys", "revoke", "j", &vkey, "--from", "1"], 0);
    run(&["keys", "list", "j"], 0);
    run(&["keys", "adopt", "j"], 0);
    place.write("pass", "correct horse\n");
    let kek = ["--kek", "command:cat pass"];
    let mut with = |args: &[&str], code| run(&[args, &kek[..]].concat(), code);
    with(
        &[
            "init",
            "enc",
            "--encrypt",
            "stream",
            "--recovery-key",
            "r.key",
        ],
        0,
    );
    with(&["append", "enc", "a/1", "x", "--data", "{}"], 0);
    with(&["keys", "list", "enc"], 0);
    with(
        &["hold", "add", "enc", "--stream", "a/2", "--reason", "case"],
        0,
    );
    with(&["hold", "list", "enc"], 0);
    with(&["hold", "remove", "enc", "2", "--reason", "settled"], 0);
    with(
        &["shred", "enc", "--stream", "a/1", "--reason", "r", "--yes"],
        0,
    );
    with(&["keys", "check", "enc"], 0);
    with(&["keys", "rewrap", "enc", "--recovery-key", "s.key"], 0);
    with(&["append", "enc", "a/ada@example.com", "x"], 0);
    with(&["doctor", "enc"], 0);
    with(&["show", "enc", "1"], 0);
    with(&["erasure-report", "enc"], 0);
    run(&["known", "list"], 0);
    run(&["known", "accept", "j"], 0);
    run(&["known", "forget", "j"], 0);
    run(&["show", "j", "99"], 7);
    run(&["log"], 2);
    run(&["demo"], 0);
    run(&["verify", "--self-test"], 0);

    let mut met = BTreeSet::new();
    for output in &outputs {
        let name = output["schema"].as_str().unwrap();
        let name = name
            .strip_prefix("factlog.")
            .unwrap()
            .strip_suffix("/1")
            .unwrap();
        let path = folder().join(format!("{name}.json"));
        let schema = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let schema: Value = serde_json::from_slice(&schema).unwrap();
        check(&schema, output, name).unwrap_or_else(|why| panic!("{why}\n{output}"));
        met.insert(format!("{name}.json"));
    }
    let all: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(met, all);
}

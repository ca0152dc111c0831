//! The file that says which events lose their payloads, or more.

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use factlog::RetentionRule;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::Deserialize;
use toml::Spanned;

use crate::exit::{Exit, Problem};
use crate::output::shown;
use crate::paths;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    rule: Vec<Spanned<Rule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    reason: String,
    #[serde(default)]
    scope: Names,
    #[serde(default)]
    category: Names,
    #[serde(default)]
    kind: Names,
    #[serde(default)]
    tag: Names,
    older_than: Option<Spanned<String>>,
    keep_last: Option<u64>,
    #[serde(default)]
    shredded: bool,
    #[serde(default)]
    level: Level,
}

/// What is left of an event.
#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// All but its payload.
    #[default]
    Payload,
    /// The spine alone.
    Full,
}

/// One name, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a string or a list of strings")]
enum Names {
    One(String),
    Many(Vec<String>),
}

impl Default for Names {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Names {
    fn all(self) -> Vec<String> {
        match self {
            Self::One(name) => vec![name],
            Self::Many(names) => names,
        }
    }
}

/// Reads rules. A mistake is told with the line and the column where it is.
pub(super) fn rules(path: &Path, text: &str) -> Result<Vec<RetentionRule>, Problem> {
    let wrong = |at: Range<usize>, why: &dyn Display| {
        let (line, column) = place(text, at.start);
        let (path, why) = (paths::shown(path), shown(&why.to_string()));
        let message = format!("{path}, line {line}, column {column}: {why}");
        Problem::new(Exit::Usage, "retention.invalid", message)
    };
    let file: PolicyFile = toml::from_str(text)
        .map_err(|error| wrong(error.span().unwrap_or_default(), &error.message()))?;
    if file.rule.is_empty() {
        let why = "there is no rule: each begins with a line [[rule]]";
        return Err(wrong(text.len()..text.len(), &why));
    }
    let rules = file.rule.into_iter().map(|spanned| {
        let span = spanned.span();
        let rule = made(spanned.into_inner(), &wrong)?;
        rule.check().map_err(|error| wrong(span, &error))?;
        Ok(rule)
    });
    rules.collect()
}

fn made(
    rule: Rule,
    wrong: &dyn Fn(Range<usize>, &dyn Display) -> Problem,
) -> Result<RetentionRule, Problem> {
    let mut made = RetentionRule::new(rule.name, rule.reason);
    if let Level::Full = rule.level {
        made = made.full();
    }
    for scope in rule.scope.all() {
        made = made.scope(scope);
    }
    for category in rule.category.all() {
        made = made.category(category);
    }
    for kind in rule.kind.all() {
        made = made.kind(kind);
    }
    for tag in rule.tag.all() {
        made = made.tag(tag);
    }
    if let Some(age) = rule.older_than {
        let micros = micros(age.get_ref()).map_err(|why| wrong(age.span(), &why))?;
        made = made.older_than(micros);
    }
    if let Some(events) = rule.keep_last {
        made = made.keep_last(events);
    }
    Ok(if rule.shredded { made.shredded() } else { made })
}

/// An amount of time such as `90d`.
fn micros(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "{text:?} is no age such as 90d or 36h; months and years differ in length, give days"
        )
    };
    let span: Span = text.parse().map_err(|_| wrong())?;
    // A day is 24 hours here: what is asked for is an amount of time, not a calendar.
    let relative = SpanRelativeTo::days_are_24_hours();
    let age: SignedDuration = span.to_duration(relative).map_err(|_| wrong())?;
    let micros = i64::try_from(age.as_micros()).map_err(|_| wrong())?;
    if micros < 0 {
        return Err(wrong());
    }
    Ok(micros)
}

/// Line and column of a byte, both from 1; columns count characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default();
    (line, column.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        match rules(Path::new("p.toml"), text) {
            Ok(rules) => format!("{} rules", rules.len()),
            Err(problem) => problem.message,
        }
    }

    #[test]
    fn rules_are_read() {
        let all = "
            [[rule]]
            name = 'chats'
            reason = 'kept for 90 days'
            scope = ['support', 'sales']
            category = 'chat'
            kind = 'chat.said'
            tag = 'keep:no'
            older_than = '90d'
            keep_last = 10
            shredded = true
            level = 'payload'
            [[rule]]
            name = 'old'
            reason = 'r'
            level = 'full'
            older_than = '1w 12h'";
        assert_eq!(told(all), "2 rules");
        assert_eq!(micros("90d"), Ok(90 * 86_400_000_000));
        assert_eq!(micros("1w 12h"), Ok((7 * 24 + 12) * 3_600_000_000));
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let good = "[[rule]]\nname = 'a'\nreason = 'r'\n";
        for (rest, place) in [
            ("kind = 'x'\nkinds = 'x'", "line 5, column 1: "),
            ("kind = 7", "line 4, column 8: "),
            ("kind = 'x\n", "line 4, column 10: "),
            ("level = 'fully'", "line 4, column 9: "),
            ("older_than = '2 months'", "line 4, column 14: "),
            ("older_than = '-2h'", "line 4, column 14: "),
            ("keep_last = -1", "line 4, column 13: "),
            ("", "line 1, column 1: "),
            ("scope = '$journal'", "line 1, column 1: "),
            (
                "kind = 'x'\n[[rule]]\nname = 'b'\nkind = 'y'",
                "line 5, column 1: ",
            ),
        ] {
            let told = told(&format!("{good}{rest}"));
            assert!(
                told.starts_with(&format!("p.toml, {place}")),
                "{rest}: {told}"
            );
        }
        assert!(told("# nothing\n").starts_with("p.toml, line 2, column 1: there is no rule"));
    }
}

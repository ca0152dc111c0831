//! What stands in `#[event(…)]`.

use syn::{
    Attribute, Error, Expr, Ident, LitInt, LitStr, Result, Token, meta::ParseNestedMeta,
    parenthesized, spanned::Spanned,
};

/// The longest name that an event can have, in bytes.
const MAX_NAME: usize = 255;

/// What a struct or variant says of itself.
pub(crate) struct EventAttribute {
    pub(crate) kind: LitStr,
    pub(crate) version: u16,
    /// The step from each version below to the next one, in order.
    pub(crate) upcasts: Vec<Expr>,
}

/// Where the attribute is missing or incomplete, errors point at `owner`.
pub(crate) fn event(attributes: &[Attribute], owner: &Ident) -> Result<EventAttribute> {
    let (mut kind, mut version, mut upcasts) = (None, None, None);
    for attribute in of_event(attributes) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("kind") {
                once(&kind, &meta, "kind")?;
                kind = Some(name_of_kind(meta.value()?.parse()?)?);
            } else if meta.path.is_ident("version") {
                once(&version, &meta, "version")?;
                version = Some(version_of(&meta.value()?.parse()?)?);
            } else if meta.path.is_ident("upcast") {
                once(&upcasts, &meta, "upcast")?;
                upcasts = Some(steps(&meta)?);
            } else {
                return Err(
                    meta.error("an event has `kind`, `version` and `upcast`, and nothing else")
                );
            }
            Ok(())
        })?;
    }
    let kind = kind.ok_or_else(|| {
        let say = format!(
            "say which kind of event it is: #[event(kind = \"category.{}\")]",
            snake(owner)
        );
        Error::new(owner.span(), say)
    })?;
    let version = version.unwrap_or(1);
    let upcasts = in_order(upcasts.unwrap_or_default(), version, owner)?;
    Ok(EventAttribute {
        kind,
        version,
        upcasts,
    })
}

fn of_event(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|one| one.path().is_ident("event"))
}

fn once<T>(already: &Option<T>, meta: &ParseNestedMeta<'_>, what: &str) -> Result<()> {
    match already {
        None => Ok(()),
        Some(_) => Err(meta.error(format!("`{what}` is said twice"))),
    }
}

fn name_of_kind(kind: LitStr) -> Result<LitStr> {
    let name = kind.value();
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        let say = "a kind is a name of 1 to 255 bytes without control characters";
        return Err(Error::new(kind.span(), say));
    }
    Ok(kind)
}

fn version_of(version: &LitInt) -> Result<u16> {
    match version.base10_parse::<u16>() {
        Ok(0) | Err(_) => {
            let say = "a version is a number from 1 to 65535";
            Err(Error::new(version.span(), say))
        }
        Ok(version) => Ok(version),
    }
}

/// `upcast(1 = step, 2 = step)`
fn steps(meta: &ParseNestedMeta<'_>) -> Result<Vec<(LitInt, Expr)>> {
    let content;
    parenthesized!(content in meta.input);
    let mut steps = Vec::new();
    while !content.is_empty() {
        let from: LitInt = content.parse().map_err(|error| {
            let say = "name each step by the version that it takes: upcast(1 = function)";
            Error::new(error.span(), say)
        })?;
        content.parse::<Token![=]>()?;
        steps.push((from, content.parse()?));
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(steps)
}

/// There is one step from each version below the current one.
fn in_order(steps: Vec<(LitInt, Expr)>, version: u16, owner: &Ident) -> Result<Vec<Expr>> {
    let mut by_version: Vec<Option<Expr>> = (1..version).map(|_| None).collect();
    for (from, step) in steps {
        let number = version_of(&from)?;
        let Some(place) = by_version.get_mut(usize::from(number) - 1) else {
            let say =
                format!("there is no step from version {number}: the current one is {version}");
            return Err(Error::new(from.span(), say));
        };
        if place.replace(step).is_some() {
            let say = format!("there are two steps from version {number}");
            return Err(Error::new(from.span(), say));
        }
    }
    let missing = (1..).zip(&by_version).find(|(_, step)| step.is_none());
    if let Some((from, _)) = missing {
        let say = format!(
            "events of version {from} could not be read: there is no step from it to version {}; add \
             `upcast({from} = function)`",
            from + 1
        );
        return Err(Error::new(owner.span(), say));
    }
    Ok(by_version.into_iter().flatten().collect())
}

/// The name of the tag that a field makes, if it makes one.
pub(crate) fn tag(field: &syn::Field) -> Result<Option<String>> {
    let mut tag: Option<String> = None;
    for attribute in of_event(&field.attrs) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("tag") {
                return Err(meta.error("a field has `tag` or `tag = \"name\"`, and nothing else"));
            }
            once(&tag, &meta, "tag")?;
            tag = Some(match (meta.input.peek(Token![=]), &field.ident) {
                (true, _) => meta.value()?.parse::<LitStr>()?.value(),
                (false, Some(name)) => syn::ext::IdentExt::unraw(name).to_string(),
                (false, None) => {
                    let say =
                        "the field has no name, so give the tag one: #[event(tag = \"account\")]";
                    return Err(meta.error(say));
                }
            });
            Ok(())
        })?;
    }
    Ok(tag)
}

/// Refuses serde attributes by which a payload would not be what the kind says it is.
pub(crate) fn refuse_serde(attributes: &[Attribute], names: &[&str], say: &str) -> Result<()> {
    for attribute in attributes.iter().filter(|one| one.path().is_ident("serde")) {
        let mut found = None;
        // What serde itself wouldn't take, it will complain about.
        let _ = attribute.parse_nested_meta(|meta| {
            if names.iter().any(|name| meta.path.is_ident(name)) {
                found.get_or_insert(meta.path.span());
            }
            if meta.input.peek(Token![=]) {
                meta.value()?.parse::<Expr>()?;
            } else if meta.input.peek(syn::token::Paren) {
                let content;
                parenthesized!(content in meta.input);
                content.parse::<proc_macro2::TokenStream>()?;
            }
            Ok(())
        });
        if let Some(span) = found {
            return Err(Error::new(span, say));
        }
    }
    Ok(())
}

/// `AccountOpened` as `account_opened`.
fn snake(name: &Ident) -> String {
    let mut out = String::new();
    for c in name.to_string().chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

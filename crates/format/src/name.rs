use crate::{FormatError, MAX_NAME_LEN, cursor::Cursor};

/// Class of a name that stands in the clear; class 1 (blind) is reserved.
const CLASS_PLAIN: u8 = 0;

/// Checks a name: 1 to 255 bytes of UTF-8 without control characters. Names are compared as bytes;
/// no normalisation is done.
///
/// # Errors
/// [`FormatError::Limit`] if it is too long, [`FormatError::Invalid`] if it is empty or holds a
/// control character.
pub fn check_name(name: &str, what: &'static str) -> Result<(), FormatError> {
    if name.len() > MAX_NAME_LEN {
        return Err(FormatError::Limit {
            what,
            limit: MAX_NAME_LEN as u64,
        });
    }
    if name.is_empty() {
        return Err(FormatError::Invalid(what));
    }
    // Almost every name is printable ASCII: decide those without decoding.
    if is_printable(name.as_bytes()) {
        return Ok(());
    }
    if name.chars().any(char::is_control) {
        return Err(FormatError::Invalid(what));
    }
    Ok(())
}

/// Whether all bytes are printable ASCII: eight at a time, without stopping early.
fn is_printable(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let Some(last) = bytes.last_chunk::<8>() else {
        let printable = |byte: &u8| byte.wrapping_sub(0x20) < 0x5f;
        return rest.iter().fold(true, |all, byte| all & printable(byte));
    };
    // The last eight overlap the eight before them.
    let words = words.iter().chain(Some(last));
    words.fold(0, |any, word| any | odd_bytes(u64::from_le_bytes(*word))) == 0
}

/// Not zero if a byte of the word is below 0x20 or above 0x7e.
fn odd_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // With the high bits set no byte borrows of its neighbour, and with them cleared none carries into it.
    let below = !((word | HIGH) - 0x20 * ONES);
    let above = (word & !HIGH) + ONES;
    (word | below | above) & HIGH
}

/// Checks an entity, the second half of a coordinate: as [`check_name`]; it may contain `/`.
///
/// # Errors
/// As [`check_name`].
pub fn check_entity(name: &str) -> Result<(), FormatError> {
    check_name(name, "entity")
}

/// Checks a kind: as [`check_name`].
///
/// # Errors
/// As [`check_name`].
pub fn check_kind(name: &str) -> Result<(), FormatError> {
    check_name(name, "kind")
}

/// Checks a scope: as [`check_name`], and without `/`, so that `scope/entity` has one meaning.
///
/// # Errors
/// As [`check_name`].
pub fn check_scope(name: &str) -> Result<(), FormatError> {
    check_name(name, "scope")?;
    check_slash(name)
}

/// What a scope is refused for that may be another name.
pub(crate) fn check_slash(name: &str) -> Result<(), FormatError> {
    if name.contains('/') {
        return Err(FormatError::Invalid("scope"));
    }
    Ok(())
}

/// The category of a kind: the part before its first dot, or all of it.
#[must_use]
pub fn category_of(kind: &str) -> &str {
    kind.split_once('.').map_or(kind, |(category, _)| category)
}

pub(crate) fn encode_name(
    name: &str,
    what: &'static str,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    check_name(name, what)?;
    out.push(CLASS_PLAIN);
    out.push(u8::try_from(name.len()).map_err(|_| FormatError::Invalid(what))?);
    out.extend_from_slice(name.as_bytes());
    Ok(())
}

pub(crate) fn decode_name<'a>(
    input: &mut Cursor<'a>,
    what: &'static str,
) -> Result<&'a str, FormatError> {
    if input.u8()? != CLASS_PLAIN {
        return Err(FormatError::Unsupported(what));
    }
    let len = usize::from(input.u8()?);
    let name = str::from_utf8(input.take(len)?).map_err(|_| FormatError::Invalid(what))?;
    check_name(name, what)?;
    Ok(name)
}

/// The bytes of a name, unchecked.
pub(crate) fn skip_name<'a>(input: &mut Cursor<'a>) -> Result<&'a [u8], FormatError> {
    if input.u8()? != CLASS_PLAIN {
        return Err(FormatError::Unsupported("class of a name"));
    }
    let len = usize::from(input.u8()?);
    input.take(len)
}

/// Sorted, unique names as they stand in encoded facts; decoded one by one, without allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    encoded: &'a [u8],
    count: u8,
}

impl<'a> Names<'a> {
    /// Checks every name and their order.
    // Always: see `Cursor::chunk`.
    #[inline(always)]
    pub(crate) fn decode(
        input: &mut Cursor<'a>,
        max: usize,
        what: &'static str,
    ) -> Result<Self, FormatError> {
        let count = input.u8()?;
        if usize::from(count) > max {
            return Err(FormatError::Limit {
                what,
                limit: max as u64,
            });
        }
        let start = input.rest();
        let mut last: Option<&str> = None;
        for _ in 0..count {
            let name = decode_name(input, what)?;
            if last.is_some_and(|last| last.as_bytes() >= name.as_bytes()) {
                return Err(FormatError::Invalid(what));
            }
            last = Some(name);
        }
        let used = start.len() - input.rest().len();
        Ok(Self {
            encoded: start.get(..used).unwrap_or_default(),
            count,
        })
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The names in byte order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut input = Cursor::new(self.encoded, "names");
        std::iter::from_fn(move || {
            if input.rest().is_empty() {
                return None;
            }
            decode_name(&mut input, "names").ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_wherever_it_stands() {
        let printable = |byte: u8| matches!(byte, 0x20..=0x7e);
        for len in 1..=40 {
            for at in 0..len {
                for byte in 0..=0xffu8 {
                    let mut bytes = vec![b'~'; len];
                    bytes[at] = byte;
                    assert_eq!(
                        is_printable(&bytes),
                        printable(byte),
                        "{byte:#x} at {at} of {len}"
                    );
                }
            }
        }
        // None hides behind its neighbours.
        for pair in 0..=0xffffu16 {
            let [low, high] = pair.to_le_bytes();
            let bytes = [b' ', low, high, b'~', b' ', b'~', low, high, b'a'];
            assert_eq!(
                is_printable(&bytes),
                printable(low) && printable(high),
                "{pair:#x}"
            );
        }
    }
}

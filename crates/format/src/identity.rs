use data_encoding::HEXLOWER;

use crate::{FORMAT_VERSION, Features, FormatError, JournalId, check_name};

const TITLE: &str = "factlog journal";
const CRC_LINE_LEN: usize = "crc32 00000000\n".len();

/// The file `JOURNAL`: written once, as the last thing of creation. Only a cache of sequence 0.
///
/// It is text, so that a person who finds the directory knows what it is:
///
/// ```text
/// factlog journal
/// format 1
/// features 0 0 0
/// id 0f3c…
/// origin example.com/ledger/0f3c…
/// created 1763777777000000
/// crc32 9ae0daaf
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which extensions a reader must know.
    pub features: Features,
    /// The journal's id.
    pub journal: JournalId,
    /// Its public name: ends in `/` and the id in hex.
    pub origin: String,
    /// When it was made, in microseconds since 1970-01-01 UTC.
    pub created: i64,
}

impl Identity {
    /// Refuses an origin that is no name or doesn't end in the journal's id.
    ///
    /// # Errors
    /// As [`check_origin`].
    pub fn check(&self) -> Result<(), FormatError> {
        check_origin(&self.origin, &self.journal)
    }

    /// The file's text.
    ///
    /// # Panics
    /// If [`check`](Self::check) refuses the identity: what is written must be readable.
    #[must_use]
    pub fn encode(&self) -> String {
        assert!(self.check().is_ok(), "an origin that can't be read back");
        let mut text = self.text();
        text.push_str(&crc_line(&text));
        text
    }

    fn text(&self) -> String {
        let Features {
            incompatible,
            read_only_compatible,
            compatible,
        } = self.features;
        format!(
            "{TITLE}\nformat {FORMAT_VERSION}\nfeatures {incompatible:x} {read_only_compatible:x} \
             {compatible:x}\nid {}\norigin {}\ncreated {}\n",
            HEXLOWER.encode(&self.journal),
            self.origin,
            self.created
        )
    }

    /// Reads the file's bytes; only the spelling of [`encode`](Self::encode) passes.
    ///
    /// # Errors
    /// [`FormatError::Checksum`] if the last line doesn't fit the others, [`FormatError::Unsupported`]
    /// for a newer version or feature, another variant for anything else that is not as written.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let invalid = FormatError::Invalid("JOURNAL");
        let text = str::from_utf8(bytes).map_err(|_| invalid)?;
        // The last line is the CRC in every version, so that rot is not taken for a newer format.
        let at = text.len().checked_sub(CRC_LINE_LEN);
        let Some((text, crc)) = at.and_then(|at| text.split_at_checked(at)) else {
            return Err(FormatError::Truncated("JOURNAL"));
        };
        if crc != crc_line(text) {
            return Err(FormatError::Checksum("JOURNAL"));
        }
        let identity = Self::parse(text)?;
        // Only the one spelling: this also checks every blank and the end of the file.
        if identity.text() != text {
            return Err(invalid);
        }
        identity.check()?;
        identity.features.check_readable()?;
        Ok(identity)
    }

    fn parse(text: &str) -> Result<Self, FormatError> {
        let invalid = FormatError::Invalid("JOURNAL");
        let mut lines = text.split('\n');
        let mut field = |name: &str| {
            let line = lines.next().ok_or(FormatError::Truncated("JOURNAL"))?;
            line.strip_prefix(name).ok_or(invalid)
        };
        if !field(TITLE)?.is_empty() {
            return Err(invalid);
        }
        let version: u32 = field("format ")?.parse().map_err(|_| invalid)?;
        if version != u32::from(FORMAT_VERSION) {
            return Err(FormatError::Unsupported("JOURNAL format version"));
        }
        let mut words = field("features ")?
            .split(' ')
            .map(|word| u64::from_str_radix(word, 16));
        let mut word = || words.next().and_then(Result::ok).ok_or(invalid);
        let features = Features {
            incompatible: word()?,
            read_only_compatible: word()?,
            compatible: word()?,
        };
        let id = HEXLOWER
            .decode(field("id ")?.as_bytes())
            .map_err(|_| invalid)?;
        Ok(Self {
            features,
            journal: id.try_into().map_err(|_| invalid)?,
            origin: field("origin ")?.to_owned(),
            created: field("created ")?.parse().map_err(|_| invalid)?,
        })
    }
}

fn crc_line(text: &str) -> String {
    format!("crc32 {:08x}\n", crc32fast::hash(text.as_bytes()))
}

/// Checks a journal's public name: as [`check_name`], without blanks or `+` so that it can name a key
/// of C2SP signed-note, ending in `/` and the journal's id in hex.
///
/// # Errors
/// [`FormatError::Limit`] if it is too long, [`FormatError::Invalid`] if it is not such a name.
pub fn check_origin(origin: &str, journal: &JournalId) -> Result<(), FormatError> {
    check_name(origin, "origin")?;
    let id = HEXLOWER.encode(journal);
    let prefix = origin
        .strip_suffix(&id)
        .and_then(|prefix| prefix.strip_suffix('/'));
    let plain = !origin.contains(|c: char| c.is_whitespace() || c == '+');
    match prefix {
        Some(prefix) if !prefix.is_empty() && plain => Ok(()),
        _ => Err(FormatError::Invalid("origin")),
    }
}

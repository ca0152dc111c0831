use data_encoding::HEXLOWER;

use crate::{FORMAT_VERSION, Features, FormatError, JournalId, check_name};

const TITLE: &str = "factlog journal";

/// The file `JOURNAL`: written once, as the last thing of creation. Only a cache of sequence 0.
///
/// It is text, so that a person who finds the directory knows what it is:
///
/// ```text
/// factlog journal
/// format 0
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
    /// The file's text.
    #[must_use]
    pub fn encode(&self) -> String {
        let Features { incompatible, read_only_compatible, compatible } = self.features;
        let text = format!(
            "{TITLE}\nformat {FORMAT_VERSION}\nfeatures {incompatible:x} {read_only_compatible:x} \
             {compatible:x}\nid {}\norigin {}\ncreated {}\n",
            HEXLOWER.encode(&self.journal),
            self.origin,
            self.created
        );
        let crc = crc32fast::hash(text.as_bytes());
        format!("{text}crc32 {crc:08x}\n")
    }

    /// Reads the file's bytes; only the spelling of [`encode`](Self::encode) passes.
    ///
    /// # Errors
    /// [`FormatError::Unsupported`] for a newer version or feature, another variant for anything else
    /// that is not as written.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let invalid = FormatError::Invalid("JOURNAL");
        let text = str::from_utf8(bytes).map_err(|_| invalid)?;
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
        let mut words = field("features ")?.split(' ').map(|word| u64::from_str_radix(word, 16));
        let mut word = || words.next().and_then(Result::ok).ok_or(invalid);
        let features = Features {
            incompatible: word()?,
            read_only_compatible: word()?,
            compatible: word()?,
        };
        let id = HEXLOWER.decode(field("id ")?.as_bytes()).map_err(|_| invalid)?;
        let identity = Self {
            features,
            journal: id.try_into().map_err(|_| invalid)?,
            origin: field("origin ")?.to_owned(),
            created: field("created ")?.parse().map_err(|_| invalid)?,
        };
        // Comparing with the one spelling checks the CRC, the end of the file and every blank.
        if identity.encode().as_bytes() != bytes {
            return Err(FormatError::Checksum("JOURNAL"));
        }
        check_origin(&identity.origin, &identity.journal)?;
        identity.features.check_readable()?;
        Ok(identity)
    }
}

/// An origin is a name without blanks or `+` that ends in `/` and the journal's id in hex.
pub(crate) fn check_origin(origin: &str, journal: &JournalId) -> Result<(), FormatError> {
    check_name(origin, "origin")?;
    let id = HEXLOWER.encode(journal);
    let prefix = origin.strip_suffix(&id).and_then(|prefix| prefix.strip_suffix('/'));
    let plain = !origin.contains(|c: char| c.is_whitespace() || c == '+');
    match prefix {
        Some(prefix) if !prefix.is_empty() && plain => Ok(()),
        _ => Err(FormatError::Invalid("origin")),
    }
}

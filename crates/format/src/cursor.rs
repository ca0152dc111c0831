use crate::FormatError;

/// A reader over bytes that may be anything: every read is checked, nothing is allocated.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// `what` names the part in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let Some((head, tail)) = self.rest.split_at_checked(len) else {
            return Err(FormatError::Truncated(self.what));
        };
        self.rest = tail;
        Ok(head)
    }

    /// The next bytes where they stand: to be copied once, into their place, and not by way of a result.
    /// What goes through memory word by word and comes back two words at once makes the processor wait, for
    /// longer than a name takes to check; so what is decoded for every event is decoded in its caller.
    #[inline]
    pub(crate) fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], FormatError> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(FormatError::Truncated(self.what));
        };
        self.rest = tail;
        Ok(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        self.chunk().copied()
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        self.chunk::<1>().map(|[byte]| *byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        self.chunk().map(|bytes| u16::from_le_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, FormatError> {
        self.chunk().map(|bytes| i64::from_le_bytes(*bytes))
    }

    /// Takes a word of reserved flags. A set bit is a newer format's, not damage.
    #[inline]
    pub(crate) fn no_flags(&mut self) -> Result<(), FormatError> {
        if self.u16()? == 0 {
            return Ok(());
        }
        Err(FormatError::Unsupported(self.what))
    }

    /// Takes bytes that must all be zero.
    #[inline]
    pub(crate) fn zeros(&mut self, len: usize) -> Result<(), FormatError> {
        if self.take(len)?.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(FormatError::Invalid(self.what))
    }

    /// Refuses a count of entries that what is left can't hold, before anything is allocated for them.
    pub(crate) fn bounded(&self, count: usize, each: usize) -> Result<(), FormatError> {
        match count.checked_mul(each) {
            Some(need) if need <= self.rest.len() => Ok(()),
            _ => Err(FormatError::Truncated(self.what)),
        }
    }

    pub(crate) fn finish(self) -> Result<(), FormatError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(FormatError::Trailing(self.what))
    }
}

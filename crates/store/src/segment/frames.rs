use std::borrow::BorrowMut;

use factlog_format::{CrcSeed, FRAME_HEADER_LEN, FormatError, Frame, FrameType};
use factlog_fs::{StoreFile, read_up_to};

/// How much is read ahead at first, and at most; one frame may need more. Who follows a journal reads a few
/// events at a time, and there may be many of them.
const READ_FIRST: usize = 4 << 10;
const READ_AHEAD: usize = 256 << 10;

/// A frame and where it stands.
pub(crate) struct ReadFrame<'a> {
    pub(crate) offset: u64,
    pub(crate) kind: FrameType,
    pub(crate) crc: u32,
    pub(crate) body: &'a [u8],
    /// The frame as stored, header and padding included.
    pub(crate) bytes: &'a [u8],
}

/// What [`FrameReader::next`] came to instead of a frame.
#[derive(Debug)]
pub(crate) enum FrameStop {
    /// The limit, exactly at a frame's end.
    End,
    /// Bytes that are no frame, or one that passes the limit.
    Bad(FormatError),
    /// The file can't be read.
    Io(std::io::Error),
}

/// The part of a file that a [`FrameReader`] has in memory, and where it is.
#[derive(Debug)]
pub(crate) struct Window {
    buffer: Vec<u8>,
    /// Where the buffer starts in the file.
    buffer_at: u64,
    /// Where the next frame starts in the file.
    next: u64,
    end: u64,
    /// How much the next read takes.
    read: usize,
}

impl Window {
    /// Bytes of the frame that was read last, by where they stand in the file.
    pub(crate) fn get(&self, offset: u64, len: usize) -> &[u8] {
        let bytes = offset
            .checked_sub(self.buffer_at)
            .and_then(|at| self.buffer.get(at as usize..)?.get(..len));
        bytes.unwrap_or_default()
    }

    /// Goes on behind a frame that was read elsewhere.
    pub(crate) fn skip(&mut self, len: usize) {
        self.next += len as u64;
    }

    /// Where the next frame starts, and where reading ends.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.next, self.end)
    }

    /// From `start` and never past `end`.
    pub(crate) fn new(start: u64, end: u64) -> Self {
        Self {
            buffer: Vec::new(),
            buffer_at: start,
            next: start,
            end,
            read: READ_FIRST,
        }
    }
}

/// Reads frames one after another by position, holding no more than a buffer.
pub(crate) struct FrameReader<'f, W = Window> {
    file: &'f dyn StoreFile,
    seed: CrcSeed,
    window: W,
}

impl<'f> FrameReader<'f> {
    /// Reads from `start` and never past `end`.
    pub(crate) fn new(file: &'f dyn StoreFile, seed: CrcSeed, start: u64, end: u64) -> Self {
        Self {
            file,
            seed,
            window: Window::new(start, end),
        }
    }
}

impl<'f, 'w> FrameReader<'f, &'w mut Window> {
    /// Goes on in a window that outlives the reader.
    pub(crate) fn over(file: &'f dyn StoreFile, seed: CrcSeed, window: &'w mut Window) -> Self {
        Self { file, seed, window }
    }
}

impl<W: BorrowMut<Window>> FrameReader<'_, W> {
    /// Where the next frame starts.
    pub(crate) fn offset(&self) -> u64 {
        self.window.borrow().next
    }

    /// The next frame. After an error the reader stays where it is.
    pub(crate) fn next(&mut self) -> Result<ReadFrame<'_>, FrameStop> {
        let window = self.window.borrow_mut();
        if window.next >= window.end {
            return Err(FrameStop::End);
        }
        window.fill(self.file, FRAME_HEADER_LEN)?;
        let len = Frame::peek_len(window.ahead()).map_err(FrameStop::Bad)?;
        if len as u64 > window.end - window.next {
            return Err(FrameStop::Bad(FormatError::Truncated("frame")));
        }
        window.fill(self.file, len)?;
        let offset = window.next;
        let start = (offset - window.buffer_at) as usize;
        let ahead = window.buffer.get(start..).unwrap_or_default();
        let frame = Frame::read(self.seed, ahead).map_err(FrameStop::Bad)?;
        window.next += frame.len as u64;
        let bytes = ahead.get(..frame.len).unwrap_or_default();
        Ok(ReadFrame {
            offset,
            kind: frame.kind,
            crc: frame.crc,
            body: frame.body,
            bytes,
        })
    }
}

impl Window {
    fn ahead(&self) -> &[u8] {
        self.buffer
            .get((self.next - self.buffer_at) as usize..)
            .unwrap_or_default()
    }

    /// Makes the bytes from the next frame on available, `need` of them if the file has as many.
    fn fill(&mut self, file: &dyn StoreFile, need: usize) -> Result<(), FrameStop> {
        let have = self.ahead().len();
        if have >= need {
            return Ok(());
        }
        let used = (self.next - self.buffer_at) as usize;
        self.buffer.drain(..used.min(self.buffer.len()));
        self.buffer_at = self.next;
        let want = need.max(self.read).min((self.end - self.next) as usize);
        self.read = (4 * self.read).min(READ_AHEAD);
        self.buffer.resize(want.max(have), 0);
        let into = self.buffer.get_mut(have..).unwrap_or_default();
        match read_up_to(file, into, self.buffer_at + have as u64) {
            Ok(got) => {
                self.buffer.truncate(have + got);
                Ok(())
            }
            Err(error) => {
                self.buffer.truncate(have);
                Err(FrameStop::Io(error))
            }
        }
    }
}

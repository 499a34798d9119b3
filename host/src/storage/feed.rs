//! Text that a thread makes while it is read: rows of a database, which come when they come.
//!
//! What is made and not yet read is bounded, so the thread waits for the reader. The trap: the end is
//! said by a word of its own, since a thread that died must not look like the end of its text.

use super::Input;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Rows are gathered to about so many bytes before they go on.
const BLOCK_BYTES: usize = 64 * 1024;
/// So many blocks wait at most.
const BLOCKS_WAITING: usize = 8;
/// A block that is not full goes on after so long, with the next row.
const BLOCK_AGE_MAX: Duration = Duration::from_millis(10);

/// What the thread writes to.
pub struct Feed {
    blocks: Sender<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    since: Instant,
}

/// That nobody reads any more.
#[derive(Debug)]
pub struct Gone;

impl Feed {
    /// Where the next row is to be appended, its line feed included.
    pub fn row(&mut self) -> &mut Vec<u8> {
        &mut self.block
    }

    /// A row is appended.
    pub fn complete(&mut self) -> Result<(), Gone> {
        let is_due = self.block.len() >= BLOCK_BYTES || self.since.elapsed() >= BLOCK_AGE_MAX;
        if is_due { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), Gone> {
        self.since = Instant::now();
        if self.block.is_empty() {
            return Ok(()); // the word for the end
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK_BYTES));
        self.blocks.send(Ok(block)).map_err(|_| Gone)
    }
}

/// The other end of a [`Feed`].
pub struct Fed {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    position: usize,
    ended: bool,
}

/// Starts a thread of this name that makes the text. Where nobody reads any more it is to return soon,
/// whatever it returns.
pub fn feed(
    name: &str,
    make: impl FnOnce(&mut Feed) -> io::Result<()> + Send + 'static,
) -> io::Result<Fed> {
    let (sender, blocks) = bounded(BLOCKS_WAITING);
    let run = move || {
        let mut feed = Feed { blocks: sender, block: Vec::new(), since: Instant::now() };
        let made = make(&mut feed);
        let _ = feed.send(); // what was read before an error goes on first
        let _ = feed.blocks.send(made.map(|()| Vec::new()));
    };
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    Ok(Fed { blocks, block: Vec::new(), position: 0, ended: false })
}

impl Fed {
    fn is_empty(&self) -> bool {
        self.position == self.block.len()
    }

    fn take(&mut self, block: io::Result<Vec<u8>>) -> io::Result<()> {
        self.block = block.inspect_err(|_| self.ended = true)?;
        self.position = 0;
        self.ended = self.block.is_empty();
        Ok(())
    }
}

fn died() -> io::Error {
    io::Error::other("a bug in etl-host: the thread that reads it ended in the middle")
}

impl Input for Fed {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        if self.is_empty() && !self.ended {
            let block = self.blocks.recv().map_err(|_| died())?;
            self.take(block)?;
        }
        let rest = &self.block[self.position..];
        let len = rest.len().min(buf.capacity() - buf.len());
        buf.extend_from_slice(&rest[..len]);
        self.position += len;
        Ok(len)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        if !self.is_empty() || self.ended {
            return Ok(true);
        }
        match self.blocks.recv_timeout(timeout) {
            Ok(block) => self.take(block).map(|()| true),
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Err(died()),
        }
    }

    fn bytes_total(&self) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is read, in pieces of at most three bytes, and how it ended.
    fn read(mut fed: Fed) -> (String, io::Result<()>) {
        let mut text = Vec::new();
        loop {
            let mut piece = Vec::with_capacity(3);
            let ended = match fed.read(&mut piece) {
                Ok(0) => Ok(()),
                Ok(_) => {
                    text.extend_from_slice(&piece);
                    continue;
                }
                Err(error) => Err(error),
            };
            return (String::from_utf8(text).unwrap(), ended);
        }
    }

    fn rows(feed: &mut Feed, rows: usize) -> Result<(), Gone> {
        (0..rows).try_for_each(|row| {
            feed.row().extend_from_slice(format!("{row}\n").as_bytes());
            feed.complete()
        })
    }

    #[test]
    fn what_the_thread_makes_is_read_whole_and_in_order() {
        let made = feed("rows", |feed| rows(feed, 100_000).map_err(|Gone| died())).unwrap();
        let expected: String = (0..100_000).map(|row| format!("{row}\n")).collect();
        let (text, ended) = read(made);
        assert!(text == expected && ended.is_ok());
        assert!(
            matches!(read(feed("none", |_| Ok(())).unwrap()), (text, Ok(())) if text.is_empty())
        );
    }

    #[test]
    fn what_was_made_before_an_error_is_read_first() {
        let failing = |feed: &mut Feed| {
            rows(feed, 2).map_err(|Gone| died())?;
            Err(io::ErrorKind::ConnectionReset.into())
        };
        let (text, ended) = read(feed("rows", failing).unwrap());
        assert_eq!(text, "0\n1\n");
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_thread_that_dies_is_no_end() {
        let (text, ended) = read(feed("rows", |_| panic!("on purpose")).unwrap());
        assert!(text.is_empty() && ended.unwrap_err().to_string().contains("bug"));
    }

    #[test]
    fn a_thread_that_nobody_reads_from_is_told() {
        let (told, hears) = bounded(1);
        let making = feed("rows", move |feed| {
            let gone = rows(feed, 10_000_000).is_err();
            told.send(gone).map_err(io::Error::other)
        });
        drop(making.unwrap());
        assert!(hears.recv().unwrap());
    }
}

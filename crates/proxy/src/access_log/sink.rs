//! Where access logs go: appended to a buffer of the worker, handed over in blocks, written by
//! a thread of its own, because a pipe or a disk may block.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use ir::access_log::AccessLogSink;

/// Room that a buffer begins with.
const FIRST: usize = 4 * 1024;
/// Bytes that may wait for the writer; more is dropped and counted.
const MAX_QUEUED: usize = 16 << 20;

enum Message {
    Block(AccessLogSink, Vec<u8>),
    /// Files are opened anew (log rotation).
    Reopen,
    End,
}

#[derive(Default)]
struct Counters {
    queued: AtomicUsize,
    dropped: AtomicU64,
}

/// The thread that writes, and the way to it.
pub struct LogWriter {
    sender: Sender<Message>,
    counters: Arc<Counters>,
    block: usize,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    /// Starts the thread. A buffer is handed over when it has `block` bytes, or by the worker's timer.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(block: usize) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let counters = Arc::new(Counters::default());
        let thread = std::thread::Builder::new().name("access-log".into()).stack_size(256 * 1024).spawn({
            let counters = counters.clone();
            move || write_all(&receiver, &counters)
        })?;
        Ok(LogWriter { sender, counters, block: block.clamp(1, MAX_QUEUED / 4), thread: Some(thread) })
    }

    /// The buffers of one worker.
    pub fn buffers(&self) -> LogBuffers {
        LogBuffers {
            sender: self.sender.clone(),
            counters: self.counters.clone(),
            block: self.block,
            buffers: RefCell::default(),
            pending: Cell::new(false),
            dice: Cell::new(engine::dice::SplitMix(random())),
        }
    }

    /// Opens files anew, on demand.
    pub fn reopener(&self) -> LogReopener {
        LogReopener(self.sender.clone())
    }

    /// Bytes that were thrown away because the writer did not keep up.
    pub fn dropped(&self) -> u64 {
        self.counters.dropped.load(Ordering::Relaxed)
    }
}

/// Has the files of access logs opened anew.
pub struct LogReopener(Sender<Message>);

impl LogReopener {
    pub fn reopen(&self) {
        // A writer that is gone has no files.
        let _ = self.0.send(Message::Reopen);
    }
}

impl Drop for LogWriter {
    /// Writes what has been handed over.
    fn drop(&mut self) {
        let _ = self.sender.send(Message::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Buffers of one worker, one per sink.
pub struct LogBuffers {
    sender: Sender<Message>,
    counters: Arc<Counters>,
    block: usize,
    buffers: RefCell<Vec<(AccessLogSink, Vec<u8>)>>,
    pending: Cell<bool>,
    /// For filters that choose at random.
    dice: Cell<engine::dice::SplitMix>,
}

impl LogBuffers {
    /// A random number.
    pub fn roll(&self) -> u64 {
        let mut dice = self.dice.take();
        let rolled = engine::Dice::roll(&mut dice);
        self.dice.set(dice);
        rolled
    }

    /// Lets `write` append a record.
    pub fn append(&self, sink: &AccessLogSink, write: impl FnOnce(&mut Vec<u8>)) {
        let mut buffers = self.buffers.borrow_mut();
        // A proxy has one or two.
        let found = buffers.iter().position(|(known, _)| known == sink).unwrap_or_else(|| {
            buffers.push((sink.clone(), Vec::with_capacity(FIRST)));
            buffers.len() - 1
        });
        let Some((_, buffer)) = buffers.get_mut(found) else { return };
        write(buffer);
        self.pending.set(true);
        if buffer.len() >= self.block {
            // Who fills one block fills another: room for it at once.
            let block = std::mem::replace(buffer, Vec::with_capacity(self.block + FIRST));
            self.hand_over(sink.clone(), block);
        }
    }

    /// Whether [`LogBuffers::flush`] has something to do.
    pub fn pending(&self) -> bool {
        self.pending.get()
    }

    /// Hands over what there is. Idle buffers are freed.
    pub fn flush(&self) {
        self.pending.set(false);
        let buffers = std::mem::take(&mut *self.buffers.borrow_mut());
        for (sink, block) in buffers {
            if !block.is_empty() {
                self.hand_over(sink, block);
            }
        }
    }

    fn hand_over(&self, sink: AccessLogSink, block: Vec<u8>) {
        let len = block.len();
        if self.counters.queued.load(Ordering::Relaxed) + len > MAX_QUEUED {
            self.counters.dropped.fetch_add(len as u64, Ordering::Relaxed);
            return;
        }
        self.counters.queued.fetch_add(len, Ordering::Relaxed);
        let _ = self.sender.send(Message::Block(sink, block));
    }
}

/// Differs between calls. Not for secrets.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

impl Drop for LogBuffers {
    fn drop(&mut self) {
        self.flush();
    }
}

fn write_all(receiver: &Receiver<Message>, counters: &Counters) {
    let mut files: HashMap<AccessLogSink, File> = HashMap::new();
    while let Ok(message) = receiver.recv() {
        match message {
            Message::End => return,
            Message::Reopen => files.clear(),
            Message::Block(sink, block) => {
                if let Err(error) = write_block(&sink, &block, &mut files) {
                    tracing::warn!(?sink, %error, "access log could not be written");
                }
                counters.queued.fetch_sub(block.len(), Ordering::Relaxed);
            }
        }
    }
}

fn write_block(
    sink: &AccessLogSink,
    block: &[u8],
    files: &mut HashMap<AccessLogSink, File>,
) -> io::Result<()> {
    let path = match sink {
        AccessLogSink::Stdout => {
            return io::stdout().lock().write_all(block).and_then(|()| io::stdout().flush());
        }
        AccessLogSink::Stderr => return io::stderr().lock().write_all(block),
        AccessLogSink::File(path) => path,
    };
    if !files.contains_key(sink) {
        let file = OpenOptions::new().create(true).append(true).open(path.as_str())?;
        files.insert(sink.clone(), file);
    }
    match files.get_mut(sink) {
        Some(file) => file.write_all(block),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_in_the_file_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let sink = AccessLogSink::File(path.to_str().unwrap().into());
        let writer = LogWriter::start(64 * 1024).unwrap();
        let buffers = writer.buffers();
        for i in 0..20_000 {
            buffers.append(&sink, |out| out.extend_from_slice(format!("line {i}\n").as_bytes()));
        }
        assert!(buffers.pending());
        buffers.flush();
        assert!(!buffers.pending());
        drop(buffers);
        drop(writer);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.lines().enumerate().all(|(i, line)| line == format!("line {i}")));
        assert_eq!(text.lines().count(), 20_000);
    }

    #[test]
    fn a_block_is_written_without_being_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let sink = AccessLogSink::File(path.to_str().unwrap().into());
        let writer = LogWriter::start(8).unwrap();
        let buffers = writer.buffers();
        let written = || std::fs::read_to_string(&path).unwrap_or_default();
        buffers.append(&sink, |out| out.extend_from_slice(b"1234"));
        assert_eq!(written(), "");
        buffers.append(&sink, |out| out.extend_from_slice(b"5678"));
        let begin = std::time::Instant::now();
        while written() != "12345678" {
            assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{}", written());
            std::thread::yield_now();
        }
    }
}

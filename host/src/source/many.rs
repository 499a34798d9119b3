//! Several inputs, one after the other, as if they were one: each is opened when it is its turn, and
//! a record's place is the one in its own input.
//!
//! The trap: inputs may differ in format, or in the columns that they have. So a batch brings the
//! decoder of its input with it, of which each worker makes its own. It is gone with the last batch:
//! there may be any number of inputs.

use super::{Source, SourceError};
use crate::batch::{Batch, SharedStep};
use crate::columns::Column;
use crate::record::RecordPosition;
use crate::step::{Step, StepError};
use crate::stop::Stop;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// An input that is opened when it is its turn.
pub struct Waiting {
    /// Its name, for messages.
    pub name: String,
    /// Opens it where a record begins.
    pub open: Box<dyn FnOnce(RecordPosition) -> io::Result<Box<dyn Source>> + Send>,
}

/// Reads several inputs in order.
pub struct Reader {
    /// Those of the first input of all.
    columns: Option<Vec<Column>>,
    current: Box<dyn Source>,
    /// Its index among all inputs of the run.
    index: u32,
    decoder: Option<SharedStep>,
    waiting: VecDeque<Waiting>,
    /// Whether an interrupted run was done with all of them.
    is_done: bool,
}

impl Reader {
    /// Begins in number `index` of `inputs`, where `start` says.
    pub fn open(
        mut inputs: VecDeque<Waiting>,
        index: usize,
        start: RecordPosition,
    ) -> Result<Self, (String, io::Error)> {
        let columns = match index {
            0 => None,
            _ => open_next(&mut inputs, RecordPosition::default())?.columns(),
        };
        inputs.drain(..index.saturating_sub(1));
        let current = open_next(&mut inputs, start)?;
        let columns = if index == 0 { current.columns() } else { columns };
        let index = number(index);
        let decoder = shared(&*current);
        Ok(Reader { columns, current, index, decoder, waiting: inputs, is_done: false })
    }

    /// The inputs of one of several sources, before which the others have so many. Begins in number
    /// `index` of its own, where `start` says; `None`: nothing of them is left to be read.
    pub fn open_behind(
        inputs: VecDeque<Waiting>,
        others: usize,
        begin: Option<(usize, RecordPosition)>,
    ) -> Result<Self, (String, io::Error)> {
        let (index, start) = begin.unwrap_or_default();
        let mut reader = Reader::open(inputs, index, start)?;
        reader.index += number(others);
        reader.is_done = begin.is_none();
        Ok(reader)
    }

    /// Opens the next input. False: there is none.
    fn go_on(&mut self) -> Result<bool, SourceError> {
        let Some(Waiting { name, open }) = self.waiting.pop_front() else { return Ok(false) };
        let start = RecordPosition::default();
        let opened = open(start).map_err(|source| {
            let RecordPosition { line, byte } = start;
            SourceError { path: name, line: Some(line), byte, source }
        });
        self.current = opened?;
        self.index += 1;
        self.decoder = shared(&*self.current);
        Ok(true)
    }
}

/// The number of an input.
fn number(index: usize) -> u32 {
    u32::try_from(index).expect("names of so many files don't fit into memory")
}

fn open_next(
    inputs: &mut VecDeque<Waiting>,
    start: RecordPosition,
) -> Result<Box<dyn Source>, (String, io::Error)> {
    let Waiting { name, open } = inputs.pop_front().expect("a run begins in one of its inputs");
    open(start).map_err(|error| (name, error))
}

fn shared(source: &dyn Source) -> Option<SharedStep> {
    source.decoder().map(|decoder| Arc::new(Mutex::new(decoder)))
}

impl Source for Reader {
    /// That of the input it is in: the first one's, for the lines of a run.
    fn name(&self) -> &'static str {
        self.current.name()
    }

    /// Those of the first input, also of a run that goes on in a later one: what it writes stands below
    /// the header of the one that was interrupted.
    fn columns(&self) -> Option<Vec<Column>> {
        self.columns.clone()
    }

    fn decoder(&self) -> Option<Box<dyn Step>> {
        Some(Box::new(Decoder::new(self.current.name().into())))
    }

    fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        if self.is_done {
            return batch.refill(|_| Ok(()));
        }
        loop {
            self.current.read_batch(batch, bytes_wanted, stop)?;
            batch.input = self.index;
            batch.decoder.clone_from(&self.decoder);
            if batch.read() > 0 || stop.is_set() || !self.go_on()? {
                return Ok(());
            }
        }
    }
}

/// Decodes each batch as its input wants it.
struct Decoder {
    name: Arc<str>,
    /// The one of this input.
    of: Option<u32>,
    current: Option<Box<dyn Step>>,
}

impl Decoder {
    fn new(name: Arc<str>) -> Self {
        Decoder { name, of: None, current: None }
    }
}

impl Step for Decoder {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(Decoder::new(self.name.clone()))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        if self.of != Some(batch.input) {
            let another =
                |it: &SharedStep| it.lock().unwrap_or_else(PoisonError::into_inner).another();
            self.current = batch.decoder.as_ref().map(another);
            self.of = Some(batch.input);
        }
        self.current.as_mut().map_or(Ok(()), |decoder| decoder.apply(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;
    use crate::source::conformance::options;
    use crate::source::ldjson::{self, Options};
    use crate::storage::{Input as _, Memory};
    use serde_json::json;

    fn inputs(texts: &[&'static str]) -> VecDeque<Waiting> {
        let waiting = texts.iter().enumerate().map(|(n, &text)| {
            let name = format!("in{n}");
            let path = name.clone();
            let open = move |start| {
                let mut input = Memory::new(text);
                input.seek(start)?;
                let options = Options { start, ..Options::default() };
                let reader = ldjson::Reader::new(&path, Box::new(input), options);
                Ok(Box::new(reader) as Box<dyn Source>)
            };
            Waiting { name, open: Box::new(open) }
        });
        waiting.collect()
    }

    fn tables<const N: usize>(texts: [&'static str; N]) -> VecDeque<Waiting> {
        let tables = texts.map(|text| {
            let open = move |_| {
                let input = Box::new(Memory::new(text));
                crate::source::open(Format::Csv, "in", input, options(&json!({})))
            };
            Waiting { name: "in".to_owned(), open: Box::new(open) }
        });
        tables.into()
    }

    #[test]
    fn the_columns_are_those_of_the_first_input_wherever_it_goes_on() {
        for index in 0..3 {
            let inputs = tables(["a,b\n", "b,c,a\n", "c\n"]);
            let reader = Reader::open(inputs, index, RecordPosition::default()).unwrap();
            let columns = reader.columns().unwrap().into_iter().map(|column| column.name);
            assert_eq!(columns.collect::<Vec<_>>(), ["a", "b"]);
        }
    }

    #[test]
    fn what_decodes_an_input_is_gone_with_its_last_batch() {
        let inputs = tables(["a\n1\n", "b\n2\n", "a\n3\n"]);
        let mut reader = Reader::open(inputs, 0, RecordPosition::default()).unwrap();
        let (mut batch, mut decoder) = (Batch::default(), reader.decoder().unwrap());
        let mut before = std::sync::Weak::new();
        for record in [r#"{"a":"1"}"#, r#"{"b":"2"}"#, r#"{"a":"3"}"#] {
            reader.read_batch(&mut batch, 100, &Stop::default()).unwrap();
            assert!(before.upgrade().is_none());
            before = Arc::downgrade(batch.decoder.as_ref().unwrap());
            decoder.apply(&mut batch).unwrap();
            assert_eq!(batch.record(0), record.as_bytes());
        }
    }

    /// `SOURCE:LINE:BYTE RECORD` of all records, and the indices of the inputs.
    fn read(mut reader: Reader) -> Result<String, SourceError> {
        let (mut batch, mut told) = (Batch::default(), String::new());
        loop {
            reader.read_batch(&mut batch, 10, &Stop::default())?;
            if batch.read() == 0 {
                return Ok(told);
            }
            for (index, (source, position)) in batch.places().enumerate() {
                let RecordPosition { line, byte } = position;
                let record = batch.record(index).escape_ascii();
                told += &format!("{}={source}:{line}:{byte} {record}\n", batch.input);
            }
        }
    }

    #[test]
    fn a_records_place_is_the_one_in_its_own_input() {
        let inputs = inputs(&["{}\n{\"a\":1}", "", "\u{feff}\n{\"b\":\n", "{}\n"]);
        let reader = Reader::open(inputs, 0, RecordPosition::default()).unwrap();
        let told = "0=in0:1:0 {}\n0=in0:2:3 {\\\"a\\\":1}\n2=in2:2:4 {\\\"b\\\":\n3=in3:1:0 {}\n";
        assert_eq!(read(reader).unwrap(), told);
    }

    #[test]
    fn it_goes_on_in_any_input_where_a_record_begins() {
        for index in [0, 1, 4] {
            let mut inputs = inputs(&["{}\n[]", "1\n"]);
            for before in 0..index {
                let open = super::tests::inputs(&["{}\n"]).remove(0).unwrap().open;
                inputs.push_front(Waiting { name: before.to_string(), open });
            }
            let reader = Reader::open(inputs, index, RecordPosition { line: 2, byte: 3 });
            let next = index + 1;
            let told = format!("{index}=in0:2:3 []\n{next}=in1:1:0 1\n");
            assert_eq!(read(reader.unwrap()).unwrap(), told);
        }
    }

    #[test]
    fn an_input_that_cannot_be_opened_is_named_when_it_is_its_turn() {
        let mut inputs = inputs(&["{}\n", "", "{}"]);
        inputs[1].open = Box::new(|_| Err(io::ErrorKind::NotFound.into()));
        let reader = Reader::open(inputs, 0, RecordPosition::default());
        let error = read(reader.unwrap()).unwrap_err();
        assert_eq!((error.path.as_str(), error.source.kind()), ("in1", io::ErrorKind::NotFound));
    }
}

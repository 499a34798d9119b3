//! Several inputs, one after the other, as if they were one: each is opened when it is its turn, and
//! a record's place is the one in its own input.
//!
//! The trap: inputs may differ in format, or in the columns that they have. So a batch says which
//! input it is of, and each worker asks for the decoder of that one.

use super::{Source, SourceError};
use crate::batch::Batch;
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
    current: Box<dyn Source>,
    /// Its index among all inputs of the run.
    index: u32,
    waiting: VecDeque<Waiting>,
    decoders: Decoders,
}

/// The decoders of the inputs that were opened, by their index.
type Decoders = Arc<Mutex<Vec<Option<Box<dyn Step>>>>>;

impl Reader {
    /// Begins in the first of `inputs`, which is number `index` of the run, where `start` says.
    pub fn open(
        mut inputs: VecDeque<Waiting>,
        index: usize,
        start: RecordPosition,
    ) -> Result<Self, (String, io::Error)> {
        let Waiting { name, open } = inputs.pop_front().expect("a run has an input");
        let current = open(start).map_err(|error| (name, error))?;
        let decoders = Decoders::default();
        let index = u32::try_from(index).expect("names of so many files don't fit into memory");
        note(&decoders, index, &*current);
        Ok(Reader { current, index, waiting: inputs, decoders })
    }

    /// Opens the next input. False: there is none.
    fn go_on(&mut self) -> Result<bool, SourceError> {
        let Some(Waiting { name, open }) = self.waiting.pop_front() else { return Ok(false) };
        let start = RecordPosition::default();
        let opened = open(start).map_err(|source| {
            let RecordPosition { line, byte } = start;
            SourceError { path: name, line, byte, source }
        });
        self.current = opened?;
        self.index += 1;
        note(&self.decoders, self.index, &*self.current);
        Ok(true)
    }
}

fn note(decoders: &Decoders, index: u32, source: &dyn Source) {
    let mut decoders = decoders.lock().unwrap_or_else(PoisonError::into_inner);
    decoders.resize_with(index as usize, || None);
    decoders.push(source.decoder());
}

impl Source for Reader {
    /// That of the input it is in: the first one's, for the lines of a run.
    fn name(&self) -> &'static str {
        self.current.name()
    }

    /// Those of the input it is in.
    fn columns(&self) -> Option<Vec<Column>> {
        self.current.columns()
    }

    fn decoder(&self) -> Option<Box<dyn Step>> {
        Some(Box::new(Decoder::new(self.current.name().into(), self.decoders.clone())))
    }

    fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        loop {
            self.current.read_batch(batch, bytes_wanted, stop)?;
            batch.input = self.index;
            if batch.read() > 0 || stop.is_set() || !self.go_on()? {
                return Ok(());
            }
        }
    }
}

/// Decodes each batch as its input wants it.
struct Decoder {
    name: Arc<str>,
    decoders: Decoders,
    /// The one of this input.
    of: Option<u32>,
    current: Option<Box<dyn Step>>,
}

impl Decoder {
    fn new(name: Arc<str>, decoders: Decoders) -> Self {
        Decoder { name, decoders, of: None, current: None }
    }
}

impl Step for Decoder {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(Decoder::new(self.name.clone(), self.decoders.clone()))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        if self.of != Some(batch.input) {
            let decoders = self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
            self.current = decoders[batch.input as usize].as_ref().map(|step| step.another());
            self.of = Some(batch.input);
        }
        self.current.as_mut().map_or(Ok(()), |decoder| decoder.apply(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ldjson::{self, Options};
    use crate::storage::{Input as _, Memory};

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
        let reader =
            Reader::open(inputs(&["{}\n[]", "1\n"]), 7, RecordPosition { line: 2, byte: 3 });
        assert_eq!(read(reader.unwrap()).unwrap(), "7=in0:2:3 []\n8=in1:1:0 1\n");
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

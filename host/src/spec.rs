//! A pipeline as it is asked for: nodes by name, where each takes its records from, and what each is
//! to do. A command line is the smallest one.
//!
//! Everything here is a wish: nothing was opened, loaded or compiled yet.

pub mod check;
pub mod file;
pub mod print;
pub mod relative;
pub mod schema;

use crate::columns::Column;
use crate::format::{Compression, Format};
use crate::pipeline::limits::MaxRejects;
use crate::plugin::Selector;
use crate::source::range::Range;
use crate::step::emit::Emit;
use crate::storage::database::Selection;
use crate::storage::names::TableName;
use crate::{isolation, sink, source};
use relative::Relative;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A pipeline. Names are unique among all its nodes.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Where records come from, in the order in which they are read.
    pub sources: Vec<Node<SourceSpec>>,
    /// What is done to them, each behind those it takes from.
    pub steps: Vec<Node<StepSpec>>,
    /// Where they end.
    pub sinks: Vec<Node<SinkSpec>>,
    /// Whether somebody gave the nodes their names. If not, lines and rejects name what they are:
    /// `LdjsonReader`, `iris_model`.
    pub is_named: bool,
    /// Where rejects go [default: beside the last output that is published, or stderr].
    pub rejects: Option<OsString>,
    /// Whether the first reject ends the run.
    pub fails_at_first: bool,
    /// How many rejects there may be.
    pub max_rejects: Option<MaxRejects>,
    /// How many batches are worked on at once [default: one for each core].
    pub threads: Option<u16>,
    /// The file of services.
    pub services: Option<PathBuf>,
    /// On which line of its file each step begins, where it is in one.
    pub lines: BTreeMap<String, usize>,
    /// What it is to do with some records, for `etl-host test`.
    pub tests: Vec<TestSpec>,
}

impl Spec {
    /// The names of all nodes, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let sources = self.sources.iter().map(|node| &*node.name);
        let steps = self.steps.iter().map(|node| &*node.name);
        sources.chain(steps).chain(self.sinks.iter().map(|node| &*node.name))
    }
}

/// Why a pipeline can't be so.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SpecError {
    /// What is wrong, and where. No value that came from the environment is in it.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What a pipeline is to do with some records.
#[derive(Clone, Debug, PartialEq)]
pub struct TestSpec {
    /// What is tested. Unique.
    pub name: String,
    /// The records of sources, each a text, which may be no JSON. A source that isn't named has none.
    pub input: Vec<(String, Vec<String>)>,
    /// All records that these nodes are to give on, in order; of a sink, those that come to it.
    pub expect: Vec<(Port, Vec<serde_json::Value>)>,
    /// All rejects that there are to be, in order; `None`: nobody asks.
    pub rejects: Option<Vec<ExpectedReject>>,
}

/// A reject that a test expects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedReject {
    /// The node that can't go on with the record.
    pub node: String,
    /// Its kind, as the rejects file has it; `None`: any.
    pub kind: Option<String>,
    /// What is to be part of its message; empty: any.
    pub message: String,
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node<T> {
    /// What it is called.
    pub name: String,
    /// What it takes its records from, in this order; of a source, nothing.
    pub from: Vec<Port>,
    /// What it is.
    pub what: T,
}

impl Node<StepSpec> {
    /// Whether it asks a model.
    pub fn is_model(&self) -> bool {
        matches!(self.what, StepSpec::Model(_))
    }

    /// What it takes its records from: a log, what the node of its model puts aside.
    pub fn takes(&self) -> Vec<Port> {
        let mut from = self.from.clone();
        from.iter_mut().for_each(|port| port.is_aside |= self.is_log());
        from
    }

    /// Whether it logs what a model predicted.
    pub fn is_log(&self) -> bool {
        matches!(self.what, StepSpec::Log(_))
    }
}

/// What a node gives on: `NAME`, or `NAME.blocked` for what a rule held back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Port {
    /// The node.
    pub node: String,
    /// Whether it is what the node put aside.
    pub is_aside: bool,
}

/// How the port is called that gives what a rule held back.
pub const BLOCKED: &str = "blocked";

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            None => Ok(Port { node: text.to_owned(), is_aside: false }),
            Some((node, BLOCKED)) => Ok(Port { node: node.to_owned(), is_aside: true }),
            Some((node, other)) => Err(format!(
                "`{node}` gives nothing called `{other}`: NAME, or NAME.{BLOCKED} of a rule"
            )),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.node)?;
        if self.is_aside { write!(f, ".{BLOCKED}") } else { Ok(()) }
    }
}

/// Where records come from.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// What is read.
    pub records: Records,
    /// Its format [default: what the name of each tells, else LDJSON].
    pub format: Option<Format>,
    /// How tables of text are read.
    pub csv: source::csv::Options,
    /// Which rows of a database.
    pub selection: Option<Selection>,
    /// The types of columns of text, where no model's schema tells them.
    pub types: Vec<Column>,
    /// A line that is longer, in bytes, is a reject.
    pub line_bytes_max: u32,
    /// Only the records that begin in this range of its only input [default: all].
    pub range: Option<Range>,
    /// What of it a pipeline's file names relative to its folder.
    pub relative: Relative,
}

/// What is read.
#[derive(Clone, Debug)]
pub enum Records {
    /// These inputs, as they were given; `-` is stdin.
    Inputs(Vec<OsString>),
    /// The records of a rejects file; `-` is stdin.
    Rejects(OsString),
    /// One record, given in place.
    One(String),
}

/// Where records end.
#[derive(Clone, Debug, Default)]
pub struct SinkSpec {
    /// Where they are written to [default: stdout].
    pub output: Option<OsString>,
    /// In which format [default: what the name tells, else LDJSON].
    pub format: Option<Format>,
    /// How it is compressed; `Some(None)`: not at all [default: what the name tells].
    pub compression: Option<Option<Compression>>,
    /// How tables of text are written.
    pub csv: sink::csv::Options,
    /// The columns of a table [default: what is known of what comes to it].
    pub columns: Vec<Column>,
    /// Which table of a database.
    pub table: Option<TableName>,
    /// Whether that table is made first.
    pub creates_table: bool,
    /// The columns whose values tell a row that is written over.
    pub upsert: Vec<String>,
}

/// What is done to records.
#[derive(Clone, Debug)]
pub enum StepSpec {
    /// A model is asked.
    Model(ModelSpec),
    /// A jq program makes 0, 1 or more records of each.
    Jq(JqSpec),
    /// Records that a rule says no to are held back.
    Block(BlockSpec),
    /// What a model predicted is logged. Takes from the model's node.
    Log(LogSpec),
    /// Only so many of the first records go on.
    Limit(u64),
    /// So many of the first records don't.
    Skip(u64),
    /// A share of the records goes on.
    Sample(SampleSpec),
    /// Records that break a schema are rejected.
    Validate(ValidateSpec),
    /// A row of a small table is put into each record.
    Lookup(LookupSpec),
    /// What several branches made of one record becomes one: an object with a field for each.
    Join,
    /// Where the record stood is written around it.
    Place,
}

/// Which model is asked, and what is written.
#[derive(Clone, Debug, Default)]
pub struct ModelSpec {
    /// The plugin's file.
    pub plugin: Option<PathBuf>,
    /// Or the folder it is found in [default: $ETL_HOST_PLUGIN_DIR, ./plugins].
    pub plugin_dir: Option<PathBuf>,
    /// Which model [default: the only one].
    pub model: Option<Selector>,
    /// Its config, a JSON text.
    pub config: String,
    /// The file that the config is from, if it is from one.
    pub config_file: Option<PathBuf>,
    /// What is written for a record.
    pub emit: Emit,
    /// Whether predictions are checked against the output schema.
    pub validates_output: bool,
    /// How many threads ask it at once, at most [default: all].
    pub threads: Option<u16>,
    /// How it is kept in worker processes; `None`: it is in this one.
    pub isolation: Option<isolation::Options>,
}

/// A jq program.
#[derive(Clone, Debug, Default)]
pub struct JqSpec {
    /// The program.
    pub program: String,
    /// The file that it is from, if it is from one.
    pub file: Option<PathBuf>,
    /// What `$params` is: an object.
    pub params: serde_json::Map<String, serde_json::Value>,
    /// Those of them that somebody gave from outside of the file. They may be secrets.
    pub given: BTreeSet<String>,
}

/// A rule. Its name is the node's.
#[derive(Clone, Debug, Default)]
pub struct BlockSpec {
    /// The records that this program is true of are held back.
    pub when: JqSpec,
    /// Why, for people.
    pub reason: String,
    /// The fields of the record that are written of one that was held back: [`Emit::Keep`],
    /// [`Emit::Merge`] or [`Emit::Nest`] as for a prediction, in whose place rule and reason stand.
    pub emit: Emit,
}

/// What is logged of predictions.
#[derive(Clone, Debug, Default)]
pub struct LogSpec {
    /// The field of the model's input that identifies a prediction [default: an id is derived].
    pub id: Option<String>,
    /// Which predictions [default: all].
    pub sample: Option<SampleSpec>,
    /// Whether the model is asked for notes on how it came to its prediction.
    pub trace: bool,
}

/// A share of records, told by their places: the same whatever the threads do.
#[derive(Clone, Copy, Debug)]
pub struct SampleSpec {
    /// From 0 to 1.
    pub share: f64,
    /// Another seed, another sample.
    pub seed: u64,
}

/// A schema that records are to fit.
#[derive(Clone, Debug, Default)]
pub struct ValidateSpec {
    /// The file with the JSON Schema.
    pub schema: PathBuf,
}

/// A small table, held in memory, and how a record finds its row.
#[derive(Clone, Debug)]
pub struct LookupSpec {
    /// The table: a file of any format, or a database.
    pub table: SourceSpec,
    /// The field of the record that holds the key.
    pub on: String,
    /// The column of the table that is compared with it: as texts, a number as its value in plain
    /// decimals. So 1 equals 1.0, and "1" as well: tables of text have no types.
    pub key: String,
    /// The field that the row becomes; `None`: the row's fields stand beside the record's.
    pub into: Option<String>,
    /// The columns of the row that are wanted [default: all, but for the key where they stand beside the
    /// record's fields].
    pub columns: Vec<String>,
    /// What a record gets whose key no row has.
    pub missing: NoMatch,
    /// What a record gets whose key several rows have.
    pub several: Several,
}

/// What a record gets whose key no row has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoMatch {
    /// It is a reject.
    #[default]
    Reject,
    /// Null in the place of the row, or of each of its columns.
    Null,
}

/// What a record gets whose key several rows have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Several {
    /// It is a reject.
    #[default]
    Reject,
    /// Null, as where there is none.
    Null,
    /// The first of them.
    First,
}

impl Default for SourceSpec {
    fn default() -> Self {
        SourceSpec {
            records: Records::Inputs(Vec::new()),
            format: None,
            csv: source::csv::Options::default(),
            selection: None,
            types: Vec::new(),
            line_bytes_max: LINE_BYTES_MAX_USUAL,
            range: None,
            relative: Relative::default(),
        }
    }
}

/// A line that is longer, in bytes, is a reject, where nothing else is said.
pub const LINE_BYTES_MAX_USUAL: u32 = 16 * 1024 * 1024;

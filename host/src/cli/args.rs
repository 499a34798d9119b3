//! The flags of scoring. Parsing does nothing but parse; what they ask for is a pipeline, the smallest
//! there is, which `smallest.rs` makes of them.

use super::formats::FormatArgs;
use super::isolate::IsolationArgs;
use super::services::ServiceArgs;
use super::tables::TableArgs;
use crate::pipeline::limits::MaxRejects;
use crate::plugin::Selector;
use crate::run_time::RunTime;
use crate::source::ldjson::LINE_BYTES_MAX;
use crate::source::range::Range;
use clap::{ArgGroup, Args, ValueEnum, value_parser};
use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

// No doc comment here and below: clap would take it for what the command is for.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("records").required(true)))]
pub(super) struct ScoreArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,

    /// Read records from here; `-` is stdin
    ///
    /// A file, a folder (its files, sorted by name, but for those whose names begin with `.` or `_`)
    /// or a glob such as 'data/*.json' (sorted, `**` for any folders). Given several times, one
    /// after the other. A file is LDJSON unless its name or --input-format says otherwise. Or
    /// s3://BUCKET/KEY, gs://, az://, https://, postgres://, sqlite:FILE, NAME:// of --services.
    #[arg(short, long, alias = "input_file", value_name = "PATH", group = "records")]
    pub(super) input: Vec<OsString>,

    /// Read only the records that begin in this range of the input, given in bytes
    ///
    /// So that the ranges of an input together give each of its records once: the last record of a range
    /// is read whole, and where one has begun before the range it is left out. LINE is the line of the
    /// input on which the first line stands that begins in the range; without it, rejects name no line
    /// of the input, but `range_line`. Only of one input, LDJSON or CSV, that is not compressed.
    /// `etl-host split` prints such ranges.
    #[arg(long, value_name = "OFFSET:LENGTH[:LINE]", conflicts_with = "record")]
    pub(super) range: Option<Range>,

    /// Ask about this one record instead of reading any
    #[arg(long, value_name = "JSON", group = "records")]
    pub(super) record: Option<String>,

    #[command(flatten)]
    pub(super) job: JobArgs,
}

/// Run the records of a rejects file again: after a fix, or with a newer plugin
///
/// Their place stays the one where they stood first: a record that is rejected once more names its own
/// source, line and byte, and not those in the rejects file. What can't be run again is rejected again:
/// a record that the rejects file holds only in part, and a line that is no line of a rejects file.
/// The rejects file itself is left as it is, so that all outputs need other names.
#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,

    /// Run the records of this rejects file; `-` is stdin
    #[arg(value_name = "REJECTS")]
    pub(super) rejects_file: OsString,

    #[command(flatten)]
    pub(super) job: JobArgs,
}

// Which model, and how it is set up.
#[derive(Args, Debug)]
pub(super) struct ModelArgs {
    /// Load this plugin: a shared library built with the crate model-abi
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["model", "plugin_dir"],
        conflicts_with = "plugin_dir"
    )]
    pub(super) plugin: Option<PathBuf>,

    /// Find the plugin in this folder [default: $ETL_HOST_PLUGIN_DIR, ./plugins]
    ///
    /// The file whose stamp offers the model that --model names, the newest version that matches.
    #[arg(long, value_name = "DIR")]
    pub(super) plugin_dir: Option<PathBuf>,

    /// Ask this model, in this version if one is given: iris_model@0.1, iris_model@0 [default: the
    /// only one there is]
    #[arg(long, value_name = "NAME[@VERSION]")]
    pub(super) model: Option<Selector>,

    /// Give the model this config: a JSON text, or @FILE [default: {}]
    #[arg(long, value_name = "JSON|@FILE")]
    pub(super) config: Option<String>,

    #[command(flatten)]
    pub(super) isolation: IsolationArgs,
}

// What is done with records, wherever they come from.
#[derive(Args, Debug)]
pub(super) struct JobArgs {
    /// Write predictions here; `-` is stdout [default: -]
    ///
    /// A file appears when the run has ended well, and never half-written. A device or a FIFO is
    /// written to as it is. A folder (one that is there, or a path that ends with `/`) takes a file
    /// for each input, with the same name: then an input that can't be read is told of, and the
    /// others go on. Or s3://BUCKET/KEY, gs://, az://, postgres://, sqlite:FILE, NAME:// of --services.
    #[arg(short, long, alias = "output_file", value_name = "PATH")]
    pub(super) output: Option<OsString>,

    #[command(flatten)]
    pub(super) formats: FormatArgs,

    #[command(flatten)]
    pub(super) services: ServiceArgs,

    #[command(flatten)]
    pub(super) tables: TableArgs,

    /// Choose what is written for a record
    #[arg(long, value_name = "MODE", value_enum, default_value_t = EmitMode::Prediction)]
    pub(super) emit: EmitMode,

    /// Write these fields of the record before the prediction's, byte for byte
    ///
    /// A field that a record lacks is left out. Only with `--emit prediction`.
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub(super) keep: Vec<String>,

    /// Write with each line where its record stood: {"source":...,"line":...,"byte":...,"output":LINE}
    ///
    /// The names mean what they mean in a rejects file: a line counts from 1, a byte from 0.
    #[arg(long)]
    pub(super) place: bool,

    /// Check each prediction against the model's output schema
    ///
    /// One that breaks it is a reject of kind wrong_output.
    #[arg(long)]
    pub(super) validate_output: bool,

    /// Write rejected records to this file [default: OUTPUT.rejects.ldjson, or stderr where the
    /// output is no file]
    ///
    /// It is there only when a record was rejected; one that an earlier run left is removed. Where
    /// the output is a folder, so is this.
    #[arg(long, value_name = "PATH")]
    pub(super) rejects: Option<OsString>,

    /// Choose what a record that can't go on does to the run
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnError::Reject)]
    pub(super) on_error: OnError,

    /// Stop once more records than this are rejected, publishing nothing [default: no limit]
    ///
    /// A number, or a share like 0.5%, which is judged from the 10,000th record on and at the end.
    #[arg(long, value_name = "N|N%")]
    pub(super) max_rejects: Option<MaxRejects>,

    /// Work on this many batches at once, 1 to 1024 [default: one for each core]
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Reject lines longer than this many bytes, at most 1 GiB
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024 * 1024,
        value_parser = value_parser!(u32).range(1..=LINE_BYTES_MAX as i64))]
    pub(super) line_bytes_max: u32,

    #[command(flatten)]
    pub(super) run: RunArgs,
}

// How a pipeline is run, whatever it is.
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Keep a journal beside the output, and go on where an interrupted run of the same job ended
    ///
    /// What is done is made safe about once a second, so that a run that was killed, lost its power
    /// or found the disk full is gone on with by starting the same command again; the outputs are
    /// the same, byte for byte. Refused where the plugin, the input or the options are not what they
    /// were. The input must be a file or an object, the outputs files; or, with --state, objects.
    #[arg(long)]
    pub(super) resume: bool,

    /// Keep the journal in this folder instead, which is made where it is missing; implies --resume
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,

    /// Wait so long after a checkpoint before the next; 0: journal each that there may be
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = super::pause)]
    pub(super) checkpoint_seconds: Duration,

    /// There may be a checkpoint behind each record that holds a multiple of so many bytes of input
    #[arg(long, value_name = "BYTES", default_value_t = CHECKPOINT_BYTES)]
    pub(super) checkpoint_bytes: NonZeroU64,

    /// Have everything that is written bear this time, in UTC: 2026-11-27T01:30:00Z [default: when the
    /// run began]
    ///
    /// It stands in a prediction log, and its ids depend on it. A run that is resumed keeps the time of
    /// the one that began it.
    #[arg(long, value_name = "TIME")]
    pub(super) run_time: Option<RunTime>,

    /// Write what the run did to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) summary: Option<PathBuf>,

    /// Send the output, but leave its last step to `etl-host commit`, which takes the ticket in this file
    ///
    /// The output, one object in a store, is not there before that, however long it takes; the file is
    /// written when all of it is sent, and not at all where the run fails before. Rejects and summary are
    /// written as ever. For jobs in parts, whose outputs are to appear together. An object that nobody commits costs
    /// its room until a rule of the bucket removes what was not completed, or `etl-host commit --abandon`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "state"])]
    pub(super) hold: Option<PathBuf>,

    /// Print the pipeline that this asks for, as a file, and run nothing
    #[arg(long)]
    pub(super) print_pipeline: bool,

    /// Say nothing on stderr but errors (and rejects, where they go there)
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Say more where a plugin is refused
    #[arg(short, long)]
    pub(super) verbose: bool,
}

/// What is written for a record.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EmitMode {
    /// The prediction alone
    Prediction,
    /// The record, with the prediction's fields behind its own
    Merge,
    /// An object with the record as `input` and the prediction as `prediction`
    Nest,
}

/// What a record that can't go on does to the run.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnError {
    /// Set it aside and go on
    Reject,
    /// Stop, publishing nothing
    Fail,
}

impl RunArgs {
    /// For a command that writes nothing.
    pub(super) const TRIAL: RunArgs = RunArgs {
        resume: false,
        state: None,
        checkpoint_seconds: Duration::from_secs(1),
        checkpoint_bytes: CHECKPOINT_BYTES,
        run_time: None,
        summary: None,
        hold: None,
        print_pipeline: false,
        quiet: false,
        verbose: false,
    };
}

/// There may be a checkpoint so often, where nothing is said.
const CHECKPOINT_BYTES: NonZeroU64 = NonZeroU64::new(256 * 1024).expect("it is more than none");

//! Every key that a pipeline file may have. What reads the file goes by this table, and so does the
//! schema that editors are given.

use crate::columns::Kind;
use crate::format::Format;
use crate::record::RejectKind;
use crate::source::ldjson::LINE_BYTES_MAX;

/// A key.
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// What may stand there.
    pub(crate) takes: Takes,
    /// Whether it must be there.
    pub(crate) is_needed: bool,
    /// How it may be written.
    pub(crate) example: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
}

/// What may stand for a key. In place of numbers and of true and false there may be a text with a
/// parameter in it.
pub(crate) enum Takes {
    /// A text.
    Text,
    /// A text, or a list of them.
    Texts,
    /// A list of texts.
    List,
    /// True or false.
    Flag,
    /// A whole number in this range.
    Whole(u64, u64),
    /// A number in this range.
    Number(f64, f64),
    /// A whole number, or a text.
    WholeOrText,
    /// One of these texts.
    OneOf(fn() -> Vec<&'static str>),
    /// A table with these keys.
    Table(Keys),
    /// A table with any.
    Any,
    /// A table in which each column has one of [`TYPES`].
    Types,
    /// A table with any, or JSON as a text.
    Json,
    /// A table in which each source or node has a list of records: tables, or JSON texts.
    Records,
    /// A list of tables with these keys.
    Tables(Keys),
}

/// The keys of a table, in several parts.
pub(crate) type Keys = &'static [&'static [Key]];

/// A type of step.
pub(crate) struct StepType {
    /// Its name.
    pub(crate) name: &'static str,
    /// What a step of it has besides `type` and `from`.
    pub(crate) keys: Keys,
    /// What it does.
    pub(crate) about: &'static str,
}

const fn key(name: &'static str, takes: Takes, example: &'static str, about: &'static str) -> Key {
    Key { name, takes, is_needed: false, example, about }
}

/// One that must be there.
const fn needed(key: Key) -> Key {
    Key { is_needed: true, ..key }
}

const ANY_COUNT: Takes = Takes::Whole(0, u64::MAX);
const THREADS: Takes = Takes::Whole(1, 1024);
const FORMAT: Takes = Takes::OneOf(|| Format::names().collect());

/// The tables of a file, each with its name.
pub(crate) const SECTIONS: &[&str] = &["params", "sources", "steps", "sinks", "run", "test"];

/// Of a source.
pub(crate) const SOURCE: Keys = &[
    &[
        key(
            "path",
            Takes::Texts,
            "path = \"in/flowers.csv\"",
            "What is read: files, folders, globs, URLs, or several of them, one after the other; `-` is stdin. Relative to this file.",
        ),
        key(
            "record",
            Takes::Text,
            "record = '{\"a\": 1}'",
            "One record, as a JSON text, instead of a path.",
        ),
        key(
            "rejects",
            Takes::Flag,
            "rejects = true",
            "Whether the path is a rejects file, whose records are read again.",
        ),
    ],
    READING,
    &[key(
        "line_bytes_max",
        Takes::Whole(1, LINE_BYTES_MAX as u64),
        "line_bytes_max = 1_000_000",
        "A line that is longer, in bytes, is a reject [default: 16 MiB].",
    )],
];

/// The types of columns, by their names.
pub(crate) const TYPES: &[(&str, Kind)] = &[
    ("number", Kind::Number),
    ("integer", Kind::Integer),
    ("boolean", Kind::Boolean),
    ("string", Kind::String),
    ("json", Kind::Json),
];

/// How something is read.
const READING: &[Key] = &[
    key(
        "types",
        Takes::Types,
        "types = { width = \"number\" }",
        "The types of columns, where no model's schema tells them: number, integer, boolean, string or json.",
    ),
    key(
        "format",
        FORMAT,
        "format = \"csv\"",
        "The format [default: what the name tells, else ldjson].",
    ),
    key(
        "delimiter",
        Takes::Text,
        "delimiter = \";\"",
        "What stands between fields of CSV and TSV: one ASCII character, or `tab`.",
    ),
    key(
        "quote",
        Takes::Text,
        "quote = \"'\"",
        "What stands around fields of CSV and TSV: one ASCII character, or `none` [default: \"].",
    ),
    key(
        "fields",
        Takes::List,
        "fields = [\"id\", \"country\"]",
        "The columns of CSV and TSV that have no header, in their order.",
    ),
    key(
        "header",
        Takes::Flag,
        "header = true",
        "With `fields`: whether there is a header all the same, which is skipped.",
    ),
    key(
        "null_value",
        Takes::Text,
        "null_value = \"NA\"",
        "What is null in CSV and TSV besides an empty field.",
    ),
    key(
        "table",
        Takes::Text,
        "table = \"sales.orders\"",
        "The table or view of a database whose rows are read.",
    ),
    key(
        "query",
        Takes::Text,
        "query = \"SELECT …\"",
        "The query of a database whose rows are read.",
    ),
];

/// Of a sink.
pub(crate) const SINK: Keys = &[&[
    FROM,
    needed(key(
        "path",
        Takes::Text,
        "path = \"out/flowers.ldjson\"",
        "Where records are written to: a file or a URL; `-` is stdout. Relative to this file.",
    )),
    key(
        "format",
        FORMAT,
        "format = \"csv\"",
        "The format [default: what the name tells, else ldjson].",
    ),
    key(
        "compression",
        Takes::OneOf(|| COMPRESSIONS.to_vec()),
        "compression = \"zstd\"",
        "How it is compressed [default: what the name tells, else not at all].",
    ),
    key(
        "delimiter",
        Takes::Text,
        "delimiter = \";\"",
        "What stands between fields of CSV and TSV: one ASCII character, or `tab`.",
    ),
    key(
        "header",
        Takes::Flag,
        "header = false",
        "Whether the first row of CSV and TSV names the columns [default: true].",
    ),
    key(
        "null_value",
        Takes::Text,
        "null_value = \"NA\"",
        "What is written for null in CSV and TSV [default: nothing].",
    ),
    key(
        "table",
        Takes::Text,
        "table = \"sales.scores\"",
        "The table of a database that is written to.",
    ),
    key("create_table", Takes::Flag, "create_table = true", "Whether that table is made first."),
    key(
        "columns",
        Takes::List,
        "columns = [\"id\", \"species\"]",
        "The columns of a table [default: those of what comes to it, where they are known].",
    ),
    key(
        "types",
        Takes::Types,
        "types = { id = \"integer\" }",
        "The types of these columns: number, integer, boolean, string or json [default: json].",
    ),
    key(
        "upsert",
        Takes::List,
        "upsert = [\"id\"]",
        "The columns whose values tell a row of the table that is written over.",
    ),
]];

const SANDBOXES: &[&str] = &["off", "on", "require"];
pub(crate) const COMPRESSIONS: &[&str] = &["none", "gzip", "zstd"];

const FROM: Key = needed(key(
    "from",
    Takes::Texts,
    "from = \"NAME\"",
    "What it takes its records from: sources, steps, or NAME.blocked for what a block held back.",
));

/// Of every step.
pub(crate) const STEP: &[Key] = &[
    needed(key(
        "type",
        Takes::OneOf(|| STEP_TYPES.iter().map(|it| it.name).collect()),
        "type = \"jq\"",
        "What the step does.",
    )),
    FROM,
];

const PROGRAM_FILE: Key = key(
    "file",
    Takes::Text,
    "file = \"shape.jq\"",
    "The file with the program. Relative to this file.",
);
const PARAMS: Key = key(
    "params",
    Takes::Any,
    "params = { threshold = 5 }",
    "What is laid over the file's [params], as jq's $params.",
);
const KEEP: Key = key(
    "keep",
    Takes::List,
    "keep = [\"id\"]",
    "The fields of the record that are written before, byte for byte.",
);
pub(crate) const SHARE: &[Key] = &[
    needed(key(
        "share",
        Takes::Number(0.0, 1.0),
        "share = 0.1",
        "Which share of the records, from 0 to 1.",
    )),
    key("seed", ANY_COUNT, "seed = 7", "Another seed, another sample [default: 0]."),
];
const COUNT: &[Key] = &[needed(key("count", ANY_COUNT, "count = 1000", "How many records."))];

/// All types of steps.
pub(crate) const STEP_TYPES: &[StepType] = &[
    StepType {
        name: "model",
        about: "Asks a model.",
        keys: &[&[
            key(
                "plugin",
                Takes::Text,
                "plugin = \"libiris_model.so\"",
                "The plugin's file. Relative to this file.",
            ),
            key(
                "plugin_dir",
                Takes::Text,
                "plugin_dir = \"plugins\"",
                "The folder in which the plugin is found [default: $ETL_HOST_PLUGIN_DIR, ./plugins].",
            ),
            key(
                "model",
                Takes::Text,
                "model = \"iris_model@0\"",
                "Which model, and which version [default: the only one of the plugin].",
            ),
            key(
                "config",
                Takes::Json,
                "config = { threshold = 5 }",
                "The model's config: a table, or JSON as a text [default: {}].",
            ),
            key(
                "config_file",
                Takes::Text,
                "config_file = \"model.json\"",
                "The file with the model's config, as JSON. Relative to this file.",
            ),
            key(
                "emit",
                Takes::OneOf(|| EMITS.to_vec()),
                "emit = \"merge\"",
                "What is given on for a record [default: prediction].",
            ),
            KEEP,
            key(
                "validate_output",
                Takes::Flag,
                "validate_output = true",
                "Whether predictions are checked against the model's output schema.",
            ),
            key(
                "threads",
                THREADS,
                "threads = 2",
                "How many threads ask the model at once, at most [default: all].",
            ),
            key(
                "isolate",
                Takes::Flag,
                "isolate = true",
                "Whether the model is kept in processes of its own, so that a crash costs one record.",
            ),
            key(
                "workers",
                THREADS,
                "workers = 2",
                "With `isolate`: how many such processes there are at most [default: one a thread].",
            ),
            key(
                "max_memory",
                Takes::Text,
                "max_memory = \"2GiB\"",
                "With `isolate`: how much memory each may allocate [default: no limit].",
            ),
            key(
                "timeout",
                Takes::Number(0.0, 86_400.0),
                "timeout = 10",
                "With `isolate`: how many seconds a record may take; 0: any time [default: 300].",
            ),
            key(
                "max_crashes",
                ANY_COUNT,
                "max_crashes = 10",
                "With `isolate`: how often they may crash before the model is given up [default: 100].",
            ),
            key(
                "sandbox",
                Takes::OneOf(|| SANDBOXES.to_vec()),
                "sandbox = \"require\"",
                "With `isolate`: what the model's processes give up before they load it [default: on].",
            ),
            key(
                "allow_read",
                Takes::List,
                "allow_read = [\"models/shared\"]",
                "With `isolate`: files and folders that the model may read too. Relative to this file.",
            ),
        ]],
    },
    StepType {
        name: "jq",
        about: "Makes of each record what a jq program gives: none, one or several.",
        keys: &[&[
            key("program", Takes::Text, "program = '{id, name}'", "The program."),
            PROGRAM_FILE,
            PARAMS,
        ]],
    },
    StepType {
        name: "block",
        about: "Holds back the records that a rule is true of, with the reason.",
        keys: &[&[
            key(
                "when",
                Takes::Text,
                "when = '.country == \"FR\"'",
                "The rule, a jq program: what it is true of is held back.",
            ),
            PROGRAM_FILE,
            PARAMS,
            needed(key(
                "reason",
                Takes::Text,
                "reason = \"no predictions in this jurisdiction\"",
                "Why, for people.",
            )),
            KEEP,
            key(
                "emit",
                Takes::OneOf(|| BLOCK_EMITS.to_vec()),
                "emit = \"merge\"",
                "What is written of a record that was held back [default: rule and reason alone].",
            ),
        ]],
    },
    StepType {
        name: "log",
        about: "Makes a log record of each prediction of the model that it takes from.",
        keys: &[&[
            key(
                "id",
                Takes::Text,
                "id = \"request_id\"",
                "The field of the model's input that identifies a prediction [default: an id is derived].",
            ),
            key(
                "sample",
                Takes::Table(&[SHARE]),
                "sample = { share = 0.1 }",
                "Which predictions [default: all].",
            ),
            key(
                "trace",
                Takes::Flag,
                "trace = true",
                "Whether the model is asked how it came to its prediction.",
            ),
        ]],
    },
    StepType {
        name: "limit",
        about: "Gives on only so many of the first records.",
        keys: &[COUNT],
    },
    StepType { name: "skip", about: "Leaves out so many of the first records.", keys: &[COUNT] },
    StepType {
        name: "sample",
        about: "Gives on a share of the records, the same in each run.",
        keys: &[SHARE],
    },
    StepType {
        name: "validate",
        about: "Rejects the records that break a JSON Schema.",
        keys: &[&[needed(key(
            "schema",
            Takes::Text,
            "schema = \"flower.schema.json\"",
            "The file with the JSON Schema. Relative to this file.",
        ))]],
    },
    StepType {
        name: "lookup",
        about: "Puts the row of a small table into each record.",
        keys: &[
            &[
                needed(key(
                    "path",
                    Takes::Text,
                    "path = \"countries.csv\"",
                    "The table: a file of any format, or a database. Relative to this file.",
                )),
                needed(key(
                    "on",
                    Takes::Text,
                    "on = \"country\"",
                    "The field of the record that holds the key.",
                )),
                key(
                    "key",
                    Takes::Text,
                    "key = \"code\"",
                    "The column of the table that is compared with it [default: the name of the field].",
                ),
                key(
                    "into",
                    Takes::Text,
                    "into = \"country_row\"",
                    "The field that the row becomes [default: its fields stand beside the record's].",
                ),
                key(
                    "columns",
                    Takes::List,
                    "columns = [\"region\"]",
                    "The columns of the row that are wanted [default: all].",
                ),
                key(
                    "missing",
                    Takes::OneOf(|| NO_MATCHES.to_vec()),
                    "missing = \"null\"",
                    "What a record gets whose key no row has [default: it is a reject].",
                ),
                key(
                    "several",
                    Takes::OneOf(|| SEVERALS.to_vec()),
                    "several = \"first\"",
                    "What a record gets whose key several rows have [default: it is a reject].",
                ),
            ],
            READING,
        ],
    },
    StepType {
        name: "join",
        about: "Makes one object of what several branches made of one record, a field for each branch.",
        keys: &[],
    },
    StepType { name: "place", about: "Writes around each record where it stood.", keys: &[] },
];

pub(crate) const EMITS: &[&str] = &["prediction", "merge", "nest"];
pub(crate) const BLOCK_EMITS: &[&str] = &["merge", "nest"];
pub(crate) const NO_MATCHES: &[&str] = &["reject", "null"];
pub(crate) const SEVERALS: &[&str] = &["reject", "null", "first"];

/// Of `[run]`.
pub(crate) const RUN: Keys = &[&[
    key(
        "rejects",
        Takes::Text,
        "rejects = \"out/rejects.ldjson\"",
        "Where rejects go [default: beside the last output that is published, or stderr]. Relative to this file.",
    ),
    key(
        "on_error",
        Takes::OneOf(|| ON_ERRORS.to_vec()),
        "on_error = \"fail\"",
        "What a record that can't go on does to the run [default: reject].",
    ),
    key(
        "max_rejects",
        Takes::WholeOrText,
        "max_rejects = \"0.5%\"",
        "How many rejects there may be, or which share [default: no limit].",
    ),
    key(
        "threads",
        THREADS,
        "threads = 4",
        "How many batches are worked on at once [default: one for each core].",
    ),
    key(
        "services",
        Takes::Text,
        "services = \"services.toml\"",
        "The file of services. Relative to this file.",
    ),
]];

pub(crate) const ON_ERRORS: &[&str] = &["reject", "fail"];

/// Of a `[[test]]`.
pub(crate) const TEST: Keys = &[&[
    needed(key("name", Takes::Text, "name = \"what is blocked is not scored\"", "What is tested.")),
    needed(key(
        "input",
        Takes::Records,
        "input.SOURCE = [{ id = 1 }]",
        "The records of sources: tables, or JSON texts.",
    )),
    key(
        "expect",
        Takes::Records,
        "expect.NODE = [{ id = 1 }]",
        "All records that these nodes are to give on, in order; of a sink, those that come to it.",
    ),
    key(
        "rejects",
        Takes::Tables(&[EXPECTED_REJECT]),
        "rejects = [{ node = \"score\", kind = \"schema\" }]",
        "All rejects that there are to be, in order.",
    ),
]];

pub(crate) const EXPECTED_REJECT: &[Key] = &[
    needed(key(
        "node",
        Takes::Text,
        "node = \"score\"",
        "The node that can't go on with the record.",
    )),
    key(
        "kind",
        Takes::OneOf(|| RejectKind::ALL.iter().map(|kind| kind.name()).collect()),
        "kind = \"schema\"",
        "The reject's kind [default: any].",
    ),
    key(
        "message",
        Takes::Text,
        "message = \"sepal_length\"",
        "What is to be part of its message [default: anything].",
    ),
];

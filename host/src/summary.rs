//! What a run did: for people as lines, for programs as JSON.

use crate::counts::{Counts, Node, Role};
use crate::isolation::WorkersSummary;
use crate::sink::publish::{Output, publish};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The summary of a run, as `--summary` writes it.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Version of this host.
    pub host_version: &'static str,
    /// Version of the border it speaks.
    pub abi_version: &'static str,
    /// The file of the pipeline, where it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The plugin of a command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginSummary>,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSummary>,
    /// The models of a pipeline that is in a file, and the nodes that ask them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<NodeSummary>,
    /// What the run did: all of them, where the output is a folder.
    #[serde(flatten)]
    pub run: RunSummary,
    /// Each of them, where the output is a folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunSummary>,
    /// When it began, in UTC (RFC 3339).
    pub started: String,
    /// The exit code.
    pub exit_code: u8,
}

/// What one run did.
#[derive(Debug, Default, Serialize)]
pub struct RunSummary {
    /// What was read.
    pub input: String,
    /// The same, one by one.
    pub inputs: Vec<InputSummary>,
    /// Which part of the input was read, where it was not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeSummary>,
    /// Where predictions were written.
    pub output: String,
    /// Which content it has, where a store told: the ETag of an object.
    pub output_version: Option<String>,
    /// The same for each sink of a pipeline that is in a file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputSummary>,
    /// Where rejects were written, if there were any.
    pub rejects: Option<String>,
    /// What became of the records. `read` is the sum of the others.
    pub counts: Counts,
    /// The same for each node, in the order of the data.
    pub nodes: Vec<Node>,
    /// Whether the output is in its place.
    pub published: bool,
    /// Whether all of it is sent, and it waits for its commit.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Where the run went on, if an interrupted one had begun it.
    pub resumed: Option<ResumedSummary>,
    /// How many checkpoints it journalled.
    pub checkpoints: u64,
    /// How long it took.
    pub seconds: f64,
    /// Why it did not end well, if it did not.
    pub error: Option<String>,
}

/// An input of a run.
#[derive(Debug, Serialize)]
pub struct InputSummary {
    /// Its name.
    pub name: String,
    /// Which content it had: size and time of a file, the ETag of an object. `None` where that can't
    /// be known.
    pub version: Option<String>,
    /// The only fields of its records that anybody reads, model or output. `None`: all may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
}

/// The range of its input that a run has read.
#[derive(Debug, Serialize)]
pub struct RangeSummary {
    /// Offset of its first byte.
    pub offset: u64,
    /// How many bytes there are.
    pub length: u64,
    /// How many lines of the input begin in it, blank ones and a header's included; `None`: it was not
    /// read to its end.
    pub lines: Option<u64>,
}

impl Summary {
    /// Writes it, to be there whole. The error names the file.
    pub fn publish(&self, mut file: Output) -> Result<(), (PathBuf, io::Error)> {
        let mut text = serde_json::to_string_pretty(self).expect("its keys are texts");
        text.push('\n');
        file.write_all(text.as_bytes()).map_err(|error| (file.path(), error))?;
        let published = publish(vec![file], Vec::new());
        published.map(drop).map_err(|unfinished| (unfinished.path, unfinished.source))
    }
}

/// Where a run went on.
#[derive(Debug, Serialize)]
pub struct ResumedSummary {
    /// How many records were done before; `counts` holds them too.
    pub records: u64,
    /// In which input the next stood.
    pub input: Option<String>,
    /// Its line; `None` where there was none.
    pub line: Option<u64>,
    /// Its offset.
    pub byte: u64,
}

/// The plugin of a run.
#[derive(Debug, Serialize)]
pub struct PluginSummary {
    /// The file, as it was given.
    pub path: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// The model that a node asks.
#[derive(Debug, Serialize)]
pub struct NodeSummary {
    /// The node.
    pub node: String,
    /// The plugin that the model is in.
    pub plugin: PluginSummary,
    /// The model.
    pub model: ModelSummary,
}

/// Where a sink wrote to.
#[derive(Debug, Serialize)]
pub struct OutputSummary {
    /// The sink.
    pub node: String,
    /// The output.
    pub output: String,
    /// Which content it has, where a store told.
    pub version: Option<String>,
}

/// The model of a run.
#[derive(Debug, Serialize)]
pub struct ModelSummary {
    /// Its qualified name.
    pub name: String,
    /// Its version: `0.1`.
    pub version: String,
    /// Identifies weights that are not in the plugin's file, if there are any.
    pub fingerprint: Option<String>,
    /// What became of the processes that it was in, where it was in some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkersSummary>,
}

/// SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut HashWriter(&mut hasher))?;
    Ok(hexadecimal(&hasher.finalize()))
}

/// SHA-256 of a text, in hexadecimal.
pub fn sha256_of(text: &[u8]) -> String {
    hexadecimal(&Sha256::digest(text))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line for each node, counters that are zero left out. `stopped`: before their work was done.
pub fn lines(nodes: &[Node], stopped: bool) -> String {
    let mut text = String::new();
    let state = if stopped { "stopped" } else { "done" };
    for node in nodes {
        let Node { name, role, taken, given, yielded, filtered, blocked, rejected } = node;
        let _ = write!(text, " - {name}");
        let (out, yielded) = match role {
            Role::Sink => (0, 0), // what was written is what it took, but for its rejects
            _ if yielded == given => (*given, 0),
            _ => (*given, *yielded),
        };
        let counters = [
            ("in", *taken),
            ("out", out),
            ("yielded", yielded),
            ("filtered", *filtered),
            ("blocked", *blocked),
            ("err", *rejected),
        ];
        for (counter, count) in counters.into_iter().filter(|(_, count)| *count > 0) {
            let _ = write!(text, " {counter}={count}");
        }
        let _ = writeln!(text, " [{state}]");
    }
    text
}

/// The line of totals. `is_hidden`: what was written will not be seen, since it went to a file that is
/// not published.
pub fn total(run: &RunSummary, is_hidden: bool) -> String {
    let mut text = String::new();
    let Counts { read, written, filtered, blocked, rejected, abandoned } = run.counts;
    let _ = write!(text, "{read} record{}: {written} ", if read == 1 { "" } else { "s" });
    text += match is_hidden {
        false => "written",
        true if run.outputs.is_empty() => "predicted, none published",
        true => "done, none published",
    };
    for (count, fate) in [(filtered, "filtered"), (blocked, "blocked")] {
        if count > 0 {
            let _ = write!(text, ", {count} {fate}");
        }
    }
    if rejected > 0 {
        let _ = write!(text, ", {rejected} rejected");
        if let Some(rejects) = &run.rejects {
            let _ = write!(text, " (see {rejects})");
        }
    }
    if abandoned > 0 {
        let _ = write!(text, ", {abandoned} abandoned");
    }
    let before = run.resumed.as_ref().map_or(0, |resumed| resumed.records);
    if before > 0 {
        let _ = write!(text, ", {before} of them by the interrupted run");
    }
    let rate = (read - abandoned).saturating_sub(before) as f64 / run.seconds.max(1e-6);
    let _ = writeln!(text, ", in {:.3} s ({rate:.0} records/s)", run.seconds);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_everybody_computes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-4
        assert_eq!(sha256(file.path()).unwrap(), expected);
    }

    #[test]
    fn counters_that_are_zero_are_left_out() {
        let node = |name: &str, taken, given, rejected| Node {
            name: name.to_owned(),
            taken,
            given,
            yielded: given,
            rejected,
            ..Node::default()
        };
        let run = RunSummary {
            counts: Counts { read: 15, written: 14, rejected: 1, ..Counts::default() },
            nodes: vec![node("LdjsonReader", 0, 15, 0), node("iris_model", 15, 14, 1)],
            rejects: Some("out.rejects.ldjson".to_owned()),
            seconds: 0.01,
            ..RunSummary::default()
        };
        assert_eq!(
            lines(&run.nodes, false) + &total(&run, false),
            " - LdjsonReader out=15 [done]\n - iris_model in=15 out=14 err=1 [done]\n\
             15 records: 14 written, 1 rejected (see out.rejects.ldjson), in 0.010 s \
             (1500 records/s)\n"
        );
    }
}

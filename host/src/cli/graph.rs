//! `etl-host graph FILE`: a picture of the pipeline in a file, and of what a run of it did.

use super::print;
use super::run::PipelineArgs;
use crate::counts;
use crate::error::{Error, exit};
use crate::picture::{Picture, dot, mermaid, svg};
use crate::pipeline::RunError;
use crate::sink::publish::{Output, publish};
use crate::storage::location::is_stdout;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Draw the pipeline that is in a file: its nodes, and where records go between them
///
/// Nothing is loaded, and nothing opened but the file and those with programs and configs that it names.
/// Passwords and tokens in locations are not drawn, nor the configs of models.
///
/// Exit codes: 0 drawn; 2 wrong command line or pipeline, or another pipeline's summary; 3 something
/// can't be read or written.
#[derive(Args, Debug)]
pub(super) struct GraphArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,

    /// Choose how [default: what the name of --output tells (.svg, .dot, .gv, .mmd), else mermaid]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,

    /// Say on the arrows how many records went along them, in the run whose --summary this file is
    #[arg(long, value_name = "PATH")]
    summary: Option<PathBuf>,

    /// Write the picture to this file [default: stdout]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
}

/// How a picture is written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A flowchart that pages of Markdown can hold
    Mermaid,
    /// For Graphviz
    Dot,
    /// As it is seen, for browsers
    Svg,
}

/// Of a summary, what is drawn.
#[derive(Deserialize)]
struct Told {
    nodes: Vec<counts::Node>,
}

pub(super) fn graph(args: &GraphArgs) -> Result<u8, Error> {
    let mut picture = Picture::of_spec(&args.pipeline.read()?);
    if let Some(name) = args.pipeline.file.file_name() {
        picture.title = name.to_string_lossy().into_owned();
    }
    let output = args.output.as_deref().filter(|path| !is_stdout(path));
    refuse_to_overwrite(args, output)?;
    if let Some(path) = &args.summary {
        let other = |error| Error::Usage {
            message: format!("`{}` can't be drawn: {error}", path.display()),
            hint: Some("--summary takes what a run of this pipeline wrote".to_owned()),
        };
        picture.with_counts(&nodes(path)?).map_err(other)?;
    }
    let text = match args.format.or(output.and_then(Format::of)).unwrap_or(Format::Mermaid) {
        Format::Mermaid => mermaid::draw(&picture),
        Format::Dot => dot::draw(&picture),
        Format::Svg => svg::draw(&picture),
    };
    match output {
        None => print(&text)?,
        Some(path) => to_file(&text, path)?,
    }
    Ok(exit::OK)
}

impl Format {
    /// What a file's name tells.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "svg" => Some(Format::Svg),
            "dot" | "gv" => Some(Format::Dot),
            "mmd" => Some(Format::Mermaid),
            _ => None,
        }
    }
}

fn refuse_to_overwrite(args: &GraphArgs, output: Option<&Path>) -> Result<(), Error> {
    let Some(output) = output.and_then(|path| path.canonicalize().ok()) else { return Ok(()) };
    let is_output = |path: &Path| path.canonicalize().is_ok_and(|path| path == output);
    for (what, path) in
        [("pipeline", Some(&args.pipeline.file)), ("summary", args.summary.as_ref())]
    {
        if let Some(path) = path.filter(|path| is_output(path)) {
            let path = path.display();
            let message = format!("the picture would be written over the {what} `{path}`");
            return Err(Error::usage(message));
        }
    }
    Ok(())
}

fn nodes(summary: &Path) -> Result<Vec<counts::Node>, Error> {
    let text =
        fs::read(summary).map_err(|source| Error::Input { path: summary.to_owned(), source })?;
    let told: Told = serde_json::from_slice(&text).map_err(|error| Error::Format {
        what: format!("the summary `{}`", summary.display()),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })?;
    Ok(told.nodes)
}

fn to_file(text: &str, path: &Path) -> Result<(), Error> {
    let what = "the picture";
    let mut file = Output::create(path).map_err(|source| Error::Output {
        what,
        path: path.to_owned(),
        source,
    })?;
    let written = file.write_all(text.as_bytes());
    let written = written.and_then(|()| {
        publish(vec![file], Vec::new()).map(drop).map_err(|unfinished| unfinished.source)
    });
    let failed = |source| RunError::Write { what: format!("{what} `{}`", path.display()), source };
    written.map_err(|source| failed(source).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches as _;
    use tempfile::TempDir;

    /// What the command writes to `output`, with these arguments behind it; or its error. `DIR` is a
    /// folder with a pipeline and, if there is one, a summary.
    fn drawn(output: &str, args: &[&str], summary: Option<&str>) -> String {
        let folder = TempDir::new().unwrap();
        let dir = folder.path().to_str().unwrap();
        let file = |name: &str| format!("{dir}/{name}");
        let pipeline = "[sources.in]\npath = \"in.json\"\n[sinks.out]\nfrom = \"in\"\n\
                        path = \"${day}.json\"\n[run]\nrejects = \"rejects.json\"\n";
        fs::write(file("p.toml"), pipeline).unwrap();
        let (pipeline_file, output) = (file("p.toml"), file(output));
        let mut all = vec!["graph", &pipeline_file, "--output", &output, "--set", "day=monday"];
        all.extend(args);
        let summary_file = file("s.json");
        if let Some(summary) = summary {
            fs::write(&summary_file, summary).unwrap();
            all.extend(["--summary", &summary_file]);
        }
        let command = GraphArgs::augment_args(clap::Command::new("graph"));
        let args = GraphArgs::from_arg_matches(&command.get_matches_from(all)).unwrap();
        let drawn = match graph(&args) {
            Ok(code) => {
                assert_eq!(code, exit::OK);
                fs::read_to_string(output).unwrap()
            }
            Err(error) => {
                assert_eq!(fs::read_to_string(file("p.toml")).unwrap(), pipeline);
                format!("{} {}", error.exit_code(), error.report())
            }
        };
        drawn.replace(dir, "DIR")
    }

    #[test]
    fn the_name_of_the_output_tells_how_it_is_drawn_where_no_flag_does() {
        for (output, args, begins) in [
            ("a.svg", &[][..], "<svg "),
            ("a.DOT", &[], "digraph \"p.toml\" {"),
            ("a.gv", &[], "digraph "),
            ("a.mmd", &[], "flowchart "),
            ("a", &[], "flowchart "),
            ("a.dot", &["--format", "svg"], "<svg "),
            ("a.svg", &["--format", "mermaid"], "flowchart "),
        ] {
            let drawn = drawn(output, args, None);
            assert!(drawn.starts_with(begins), "{output}: {drawn}");
        }
    }

    #[test]
    fn a_picture_shows_what_a_run_of_the_pipeline_did() {
        let node = |name: &str, role: &str, taken: u64, err: u64| {
            format!(
                r#"{{"name":"{name}","role":"{role}","in":{taken},"out":5,"yielded":5,"filtered":0,
                "blocked":0,"err":{err}}}"#
            )
        };
        let (source, sink) = (node("in", "source", 0, 7), node("out", "sink", 5, 0));
        let whole = format!(r#"{{"nodes":[{source},{sink}],"seconds":1}}"#);
        let drawn = |summary: &str| drawn("a", &[], Some(summary));
        let picture = drawn(&whole);
        for shown in [
            r#"/in.json<br/>7 rejected")]:::source"#,
            r#"/monday.json<br/>5 written")]:::sink"#,
            r#"n0 -->|"5"| n1"#,
        ] {
            assert!(picture.contains(shown), "{shown}\n{picture}");
        }
        assert_eq!(
            drawn(&whole.replace(r#""in","role""#, r#""other","role""#)),
            "2 error: `DIR/s.json` can't be drawn: the summary is of another pipeline: it does not count \
             `in`, and it counts `other`\n  hint: --summary takes what a run of this pipeline wrote\n"
        );
        assert_eq!(
            drawn("{"),
            "3 error: the summary `DIR/s.json` can't be had in its format\n  cause: EOF while parsing an \
             object at line 1 column 1\n"
        );
    }

    #[test]
    fn nothing_that_is_read_is_written_over() {
        let refused = |what| format!("2 error: the picture would be written over the {what}\n");
        assert_eq!(drawn("p.toml", &[], None), refused("pipeline `DIR/p.toml`"));
        assert_eq!(drawn("s.json", &[], Some("{\"nodes\":[]}")), refused("summary `DIR/s.json`"));
        let expected = "3 error: the picture `DIR/` can't be written\n  cause: it is a folder\n";
        assert_eq!(drawn("", &[], None), expected);
    }
}

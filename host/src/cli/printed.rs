//! `--print-pipeline`: the pipeline that a command asks for as the text of a file, with what no file can
//! hold in comments before it.

use super::formats::{of_input, of_output};
use super::job::Job;
use crate::spec::{Records, SinkSpec, SourceSpec, print};
use crate::storage::location::Location;
use std::ffi::OsStr;
use std::path::Path;

pub(super) fn printed(job: &Job<'_>) -> String {
    let mut spec = job.spec.clone();
    let mut comments: Vec<String> = Vec::new();
    let mut say = |comment: &str| comments.push(comment.to_owned());
    if job.is_named() {
        say(
            "Paths are relative to the folder that this was printed in. Each ${…} stands here as what it was",
        );
        say("given.");
    }
    if let Some(services) = &job.services.services {
        spec.services = Some(services.clone());
    }
    if let Some(bucket) = &job.services.bucket {
        say(&format!("Paths were keys of a bucket, --bucket: write them as s3://{bucket}/KEY."));
    }
    if job.services.endpoint_url.is_some() || job.services.key.is_some() {
        say(
            "To be run with --endpoint-url, --key and --secret-key as before, or with a file of services.",
        );
    }
    if let Some(range) = spec.sources.iter().find_map(|source| source.what.range) {
        say(&format!(
            "Only a range of the input was to be read, --range {range}: a file reads all."
        ));
    }
    if !job.is_named() {
        // There, one flag is for what is read and for what is written.
        for source in &mut spec.sources {
            if !may_be_text_table(&source.what) {
                source.what.csv.null_value.clear();
            }
        }
        for sink in &mut spec.sinks {
            if is_folder(&sink.what) {
                say(
                    "The output was a folder, with a file in it for each input. A sink writes one file: name it, and",
                );
                say("run this once for each input.");
            } else if !is_text_table(&sink.what) {
                sink.what.csv.null_value.clear();
            }
        }
    }
    print::print(&spec, &comments)
}

fn may_be_text_table(source: &SourceSpec) -> bool {
    let inputs = match &source.records {
        Records::Inputs(inputs) => &inputs[..],
        Records::Rejects(input) => std::slice::from_ref(input),
        Records::One(_) => &[],
    };
    inputs.iter().any(|input| {
        let location = Location::of(input);
        let is_folder = source.format.is_none() && location.local().is_some_and(Path::is_dir);
        is_folder || of_input(source, &location).is_text_table()
    })
}

fn is_text_table(sink: &SinkSpec) -> bool {
    of_output(sink, &location(sink)).is_text_table()
}

fn is_folder(sink: &SinkSpec) -> bool {
    match location(sink) {
        Location::Local(path) => {
            path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir()
        }
        Location::Remote(remote) => sink.table.is_none() && remote.is_folder(),
        Location::Stream => false,
    }
}

fn location(sink: &SinkSpec) -> Location {
    Location::of(sink.output.as_deref().unwrap_or(OsStr::new("-")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;
    use std::ffi::OsString;

    /// What is printed for a command line.
    fn of(args: &str) -> String {
        let args = ["etl-host", "--plugin", "x.so"].into_iter().chain(args.split(' '));
        let (_, args) = parse(args.map(OsString::from)).unwrap();
        printed(&args.unwrap().job().unwrap())
    }

    #[test]
    fn a_null_value_stands_where_a_file_may_have_one() {
        let both =
            |args: &str| of(&format!("{args} --null-value NA")).matches("null_value").count();
        assert_eq!(both("--input a.csv --output b.csv"), 2);
        assert_eq!(both("--input a.csv.gz --output b.json"), 1);
        assert!(
            of("--input a.json --output b.csv --null-value NA")
                .ends_with("path = \"b.csv\"\nnull_value = \"NA\"\n")
        );
        assert_eq!(both("--input - --input-format csv"), 1);
    }

    #[test]
    fn what_no_file_can_hold_is_a_comment() {
        let args = "--input a --output b/ --bucket c --endpoint-url http://d --services e.toml";
        let text = of(args);
        let comments: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let comments = comments.join(" ");
        for told in ["s3://c/KEY", "--endpoint-url", "The output was a folder"] {
            assert!(comments.contains(told), "{text}");
        }
        assert!(text.ends_with("\n[run]\nservices = \"e.toml\"\n"), "{text}");
        assert!(!of("--input a").contains('#'));
    }
}

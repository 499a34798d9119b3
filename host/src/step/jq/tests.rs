//! Tests of the jq step.

use super::*;
use crate::batch::Batch;
use crate::source::Source;
use crate::source::ldjson::{Options, Reader as LineReader};
use crate::stop::Stop;
use crate::storage::Memory;

fn batch(text: &str) -> Batch {
    let mut batch = Batch::default();
    let mut reader = LineReader::new("in", Box::new(Memory::new(text)), Options::default());
    reader.read_batch(&mut batch, 1 << 28, &Stop::default()).unwrap();
    batch
}

fn run(step: &mut JqStep, text: &str) -> String {
    let mut batch = batch(text);
    step.apply(&mut batch).unwrap();
    let mut out = std::str::from_utf8(batch.lines(&mut Vec::new())).unwrap().to_owned();
    for reject in batch.rejects() {
        out.push_str(&format!("{}: {}\n", reject.kind.name(), reject.message));
    }
    out
}

#[test]
fn scratch() {
    let run_all = || {
        for file in ["jq", "man", "onig", "manonig", "base64"] {
            let text = std::fs::read_to_string(format!("/tmp/{file}.test")).unwrap();
            let mut groups: Vec<Vec<&str>> = vec![vec![]];
            for line in text.lines() {
                if line.starts_with('#') {
                    continue;
                }
                if line.trim().is_empty() {
                    groups.push(vec![]);
                } else {
                    groups.last_mut().unwrap().push(line);
                }
            }
            for g in groups {
                if g.is_empty() || g[0].starts_with("%%") || g.len() < 2 {
                    continue;
                }
                let spec = JqSpec { program: g[0].to_owned(), ..Default::default() };
                let got = match JqStep::new("jq", &spec) {
                    Err(e) => format!("REFUSED {e}\n"),
                    Ok(mut s) => run(&mut s, g[1]),
                };
                let parse = |l: &str| serde_json::from_str::<serde_json::Value>(l).ok();
                let a: Vec<_> = got.lines().map(parse).collect();
                let b: Vec<_> = g[2..].iter().map(|l| parse(l)).collect();
                let num = |v: &serde_json::Value| {
                    serde_json::to_string(v)
                        .unwrap()
                        .replace(".0,", ",")
                        .replace(".0]", "]")
                        .replace(".0}", "}")
                        .trim_end_matches(".0")
                        .to_owned()
                };
                let ok = a.len() == b.len()
                    && a.iter().zip(&b).all(|(a, b)| match (a, b) {
                        (Some(a), Some(b)) => num(a) == num(b),
                        _ => false,
                    });
                println!(
                    "{} [{file}] {}\n   in {}\n   want {}\n   got  {}",
                    if ok { "PASS" } else { "FAIL" },
                    g[0],
                    g[1],
                    g[2..].join(" ; "),
                    got.trim_end().replace('\n', " ; ")
                );
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(crate::step::STACK_BYTES)
        .spawn(run_all)
        .unwrap()
        .join()
        .unwrap();
}

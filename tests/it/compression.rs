//! Compressed inputs and outputs: the same job, whatever its files are called and hold.
//!
//! What the host writes is read by the codecs' own decoders, and judged by gzip(1) and zstd(1) where
//! they are there.

use crate::main_job::{BAD, SETOSA, VIRGINICA, iris, predictions, rejects};
use crate::streams::Live;
use etl_host_tests::{Folder, plugin};
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Both codecs: the ending of their files, and their names.
const CODECS: [(&str, &str); 2] = [("gz", "gzip"), ("zst", "zstd")];

fn packed(ending: &str, text: impl AsRef<[u8]>) -> Vec<u8> {
    match ending {
        "gz" => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(text.as_ref()).unwrap();
            encoder.finish().unwrap()
        }
        _ => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(text.as_ref()).unwrap();
            encoder.finish().unwrap()
        }
    }
}

#[track_caller]
pub(crate) fn unpacked(ending: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match ending {
        "gz" => MultiGzDecoder::new(bytes).read_to_string(&mut text),
        _ => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_string(&mut text),
    }
    .unwrap();
    text
}

/// The text of an output, which the codec's own program takes for whole, if it is there.
#[track_caller]
fn unpacked_file(folder: &Folder, name: &str) -> String {
    let (_, ending) = name.rsplit_once('.').unwrap();
    let (_, program) = CODECS.iter().find(|(it, _)| *it == ending).unwrap();
    let path = folder.path().join(name);
    let judged = Command::new(program).arg("-t").arg(&path).stderr(Stdio::null()).status();
    assert!(judged.is_ok_and(|it| it.success()) || Command::new(program).output().is_err());
    unpacked(ending, &fs::read(path).unwrap())
}

/// Lines of records of which every third is bad.
fn mixed(records: usize) -> String {
    let record = |n: usize| [SETOSA, BAD, VIRGINICA][n % 3];
    (0..records).map(|n| format!("{}\n", record(n))).collect()
}

mod inputs {
    use super::*;

    #[test]
    fn the_first_bytes_tell_whatever_the_name_is() {
        let text = format!("{SETOSA}\n{VIRGINICA}\n");
        for (ending, _) in CODECS {
            let packed = packed(ending, &text);
            for name in [&format!("in.json.{ending}"), "in.json", "in", "in.txt"] {
                let folder = Folder::new();
                folder.write(name, &packed);
                let ran = iris(&folder, &format!("-i {name}")).run();
                ran.exits(0).writes(&predictions("setosa virginica"));
            }
            let folder = Folder::new();
            let ran = iris(&folder, "-i -").stdin(packed).run();
            ran.exits(0).writes(&predictions("setosa virginica"));
        }
    }

    #[test]
    fn several_members_and_several_inputs_are_read_one_after_the_other() {
        let folder = Folder::new();
        let two = [packed("gz", format!("{SETOSA}\n{BAD}")), packed("gz", "\n")].concat();
        folder.write("a.json.gz", two);
        folder.write("b.json", SETOSA);
        folder.write("c.json.zst", packed("zst", format!("\n{BAD}\n{VIRGINICA}\n")));
        let words = "-i a.json.gz -i b.json -i c.json.zst";
        let ran = iris(&folder, words).run().exits(1);
        let ran = ran.writes(&predictions("setosa setosa virginica"));
        let places = rejects(&ran.stderr).into_iter();
        let places = places.map(|it| json!([it["source"], it["line"], it["byte"]]));
        let places: Vec<Value> = places.collect();
        assert_eq!(
            places,
            [json!(["a.json.gz", 2, SETOSA.len() + 1]), json!(["c.json.zst", 2, 1])],
            "places in the text"
        );
    }

    #[test]
    fn a_slow_pipe_is_answered_line_by_line_in_text_and_in_gzip() {
        for (ending, name) in CODECS {
            let folder = Folder::new();
            let mut live = Live::start(&iris(&folder, "-i -"));
            live.write_bytes(&packed(ending, format!("{SETOSA}\n")));
            assert_eq!(live.answer() + "\n", predictions("setosa"), "{name}");
            live.write_bytes(&packed(ending, format!("{VIRGINICA}\n")));
            assert_eq!(live.answer() + "\n", predictions("virginica"), "{name}");
            assert_eq!(live.end().0, Some(0));
        }
    }

    #[test]
    fn a_signal_ends_a_run_that_waits_for_compressed_input() {
        let folder = Folder::new();
        let mut live = Live::start(&iris(&folder, "-i -"));
        live.write_bytes(&packed("gz", format!("{SETOSA}\n")));
        live.answer();
        let stdin = live.keep_open();
        live.signal("INT");
        assert_eq!(live.end().0, Some(130));
        drop(stdin);
    }

    #[test]
    fn a_name_that_promises_too_much_is_refused() {
        for (ending, codec) in CODECS {
            for (bytes, why) in [(SETOSA, "its bytes are not compressed"), ("", "it is empty")] {
                let folder = Folder::new();
                let name = format!("in.{ending}");
                folder.write(&name, bytes);
                let ran = iris(&folder, &format!("-i {name} -o out.json")).run().exits(3);
                ran.says(&format!("error: the input `{name}` can't be opened"))
                    .says(&format!("cause: its name says {codec}, but {why}"));
                assert_eq!(folder.names(), [name]);
            }
        }
    }

    #[test]
    fn a_stream_that_is_cut_off_or_damaged_says_how_many_records_were_good() {
        // Of a stream of members, so that it is known what comes before the harm.
        let line = format!("{SETOSA}\n");
        for (ending, codec) in CODECS {
            let good = packed(ending, line.repeat(100));
            let next = packed(ending, line.repeat(1_000));
            let cut = [&*good, &next[..next.len() / 2]].concat();
            let trailed = [&*good, b"{}\n"].concat();
            let damages = [
                (cut, format!("its {codec} stream is cut off before its end")),
                (trailed, format!("its {codec} stream is damaged: ")),
            ];
            for (bytes, cause) in damages {
                let folder = Folder::new();
                folder.write("in", bytes);
                folder.write("out.json", "old");
                let ran = iris(&folder, "-i in -o out.json --summary s.json").run().exits(3);
                let ran = ran
                    .says("error: the input can't be read\n  cause: in: can't read on at line ")
                    .says(&format!("  cause: {cause}"))
                    .says("hint: get it once more, whole");
                let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
                let read = summary["counts"]["read"].as_u64().unwrap();
                assert!((100..1_100).contains(&read), "{read}");
                let byte = read as usize * line.len();
                ran.says(&format!("can't read on at line {}, byte {byte}\n", read + 1)).says(
                    &format!(
                        "state: {read} records before it were good; nothing was published; \
                         `out.json` is as it was"
                    ),
                );
                assert_eq!(folder.text("out.json"), "old");
            }
        }
    }

    #[test]
    fn a_stream_that_is_cut_off_before_there_is_a_table_cannot_be_opened() {
        for (ending, codec) in CODECS {
            let folder = Folder::new();
            let bytes = packed(ending, "sepal_length,sepal_width,petal_length,petal_width\n");
            folder.write("in.csv", &bytes[..bytes.len() / 2]);
            let ran = iris(&folder, "-i in.csv").run().exits(3);
            ran.says("error: the input `in.csv` can't be opened\n")
                .says(&format!("  cause: its {codec} stream is cut off before its end\n"))
                .says("  hint: get it once more, whole");
        }
    }

    #[test]
    fn a_checksum_that_does_not_fit_is_no_good_end() {
        let mut bytes = packed("gz", format!("{SETOSA}\n"));
        let crc = bytes.len() - 8;
        bytes[crc] ^= 1;
        let folder = Folder::new();
        folder.write("in.gz", bytes);
        let ran = iris(&folder, "-i in.gz -o out.json").run().exits(3);
        ran.says("its gzip stream is damaged: ").says("1 record before it was good");
        assert_eq!(folder.names(), ["in.gz"]);
    }

    #[test]
    fn what_becomes_a_thousandfold_takes_no_more_memory() {
        // A record, and then 200 MB of blank lines in 200 KB.
        let bytes = packed("gz", format!("{SETOSA}\n{}{SETOSA}\n", "\n".repeat(200 << 20)));
        assert!(bytes.len() < 300_000);
        let folder = Folder::new();
        let mut live = Live::start(&iris(&folder, "-i -"));
        live.write_bytes(&bytes);
        live.answer();
        live.answer();
        let peak_kib = live.peak_kib();
        assert_eq!(live.end().0, Some(0));
        assert!(peak_kib < 64 << 10, "{peak_kib} KiB");
    }
}

mod outputs {
    use super::*;

    #[test]
    fn the_name_or_a_flag_says_how_an_output_is_compressed() {
        for (ending, codec) in CODECS {
            let folder = Folder::new();
            folder.write("in.json", mixed(1_000));
            let words = format!("-i in.json -o out.json.{ending} --rejects bad.ldjson.{ending}");
            iris(&folder, &words).run().exits(1);
            iris(&folder, "-i in.json -o out.json").run().exits(1);
            let expected = folder.text("out.json");
            assert_eq!(unpacked_file(&folder, &format!("out.json.{ending}")), expected);
            let bad = format!("bad.ldjson.{ending}");
            let rejected = folder.text("out.json.rejects.ldjson");
            assert_eq!(unpacked_file(&folder, &bad), rejected);
            // By a flag, in pipes and files of any name.
            let words = format!("-i in.json --compression {codec} -q");
            let ran = iris(&folder, &words).run().exits(1);
            assert_eq!(unpacked(ending, &ran.stdout), expected);
            iris(&folder, &format!("{words} -o flagged")).run().exits(1);
            assert_eq!(folder.read("flagged"), folder.read(&format!("out.json.{ending}")));
            let words = format!("-i in.json --compression none -o plain.{ending}");
            iris(&folder, &words).run().exits(1);
            assert_eq!(folder.text(&format!("plain.{ending}")), expected);
            // And what was rejected is run again.
            let plugin = plugin("iris_model").into_os_string();
            let words = ["-o", "again.json"].map(Into::into);
            let replay = ["replay".into(), bad.into(), "--plugin".into(), plugin];
            folder.host(replay.into_iter().chain(words)).run().exits(1);
            assert_eq!(folder.text("again.json.rejects.ldjson"), rejected);
        }
    }

    #[test]
    fn the_bytes_depend_on_no_thread_and_no_batch() {
        let text = mixed(30_000);
        for (ending, _) in CODECS {
            let folder = Folder::new();
            folder.write("in.json", &text);
            folder.write("in.json.gz", packed("gz", &text));
            let mut whole = None;
            for words in ["-i in.json --threads 1", "-i in.json --threads 8", "-i in.json.gz"] {
                let out = format!("out.json.{ending}");
                iris(&folder, &format!("{words} -o {out} --emit merge")).run().exits(1);
                let bytes = folder.read(&out).unwrap();
                assert!(*whole.get_or_insert(bytes.clone()) == bytes, "{words}");
            }
            let bytes = whole.unwrap();
            let begins = if ending == "gz" { &bytes[..10] } else { &bytes[..4] };
            assert_eq!(bytes.windows(begins.len()).filter(|it| *it == begins).count(), 1);
        }
    }

    #[test]
    fn an_output_without_a_record_is_a_whole_file() {
        for (ending, _) in CODECS {
            for resume in ["", "--resume"] {
                let folder = Folder::new();
                folder.write("in.json", "");
                let out = format!("out.json.{ending}");
                iris(&folder, &format!("-i in.json -o {out} {resume}")).run().exits(0);
                assert!(!folder.read(&out).unwrap().is_empty());
                assert_eq!(unpacked_file(&folder, &out), "");
                assert_eq!(folder.names(), ["in.json", &*out]);
            }
        }
    }

    #[test]
    fn who_reads_a_compressed_stream_along_sees_each_line_soon() {
        for (ending, codec) in CODECS {
            let folder = Folder::new();
            let run = iris(&folder, &format!("-i - --compression {codec}"));
            let mut live = Live::start_unpacked(&run, move |stdout| -> Box<dyn Read + Send> {
                match ending {
                    "gz" => Box::new(MultiGzDecoder::new(stdout)),
                    _ => Box::new(zstd::stream::read::Decoder::new(stdout).unwrap()),
                }
            });
            for (record, species) in [(SETOSA, "setosa"), (VIRGINICA, "virginica")].repeat(3) {
                live.write(&format!("{record}\n"));
                assert_eq!(live.answer() + "\n", predictions(species));
            }
            assert_eq!(live.end().0, Some(0));
        }
    }

    #[test]
    fn what_a_run_did_that_fails_is_in_a_compressed_stream_which_has_no_end() {
        for (ending, codec) in CODECS {
            let folder = Folder::new();
            folder.write("in.json", format!("{SETOSA}\n").repeat(20_000) + BAD);
            let words = "-i in.json --on-error fail --summary s.json --threads 1";
            let ran = iris(&folder, &format!("{words} --compression {codec}")).run().exits(6);
            let mut text = Vec::new();
            let end = match ending {
                "gz" => MultiGzDecoder::new(&*ran.stdout).read_to_end(&mut text),
                _ => zstd::stream::read::Decoder::new(&*ran.stdout)
                    .and_then(|mut it| it.read_to_end(&mut text)),
            };
            assert!(end.is_err());
            let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
            let written = summary["counts"]["written"].as_u64().unwrap();
            assert!(written > 0);
            assert_eq!(text.len(), written as usize * predictions("setosa").len());
        }
    }

    #[test]
    fn a_binary_format_is_not_compressed_once_more() {
        for (name, format) in [("out.parquet.gz", "parquet"), ("out.arrow.zst", "arrow")] {
            let folder = Folder::new();
            folder.write("in.json", SETOSA);
            let ran = iris(&folder, &format!("-i in.json -o {name}")).run().exits(2);
            ran.says(&format!("error: `{name}` can't be {format} that is compressed with "))
                .says("--compression none");
            assert_eq!(folder.names(), ["in.json"]);
        }
    }

    #[test]
    fn a_folder_takes_compressed_outputs_under_the_names_of_the_inputs() {
        let folder = Folder::new();
        fs::create_dir(folder.path().join("in")).unwrap();
        folder.write("in/a.json.gz", packed("gz", SETOSA));
        folder.write("in/b.json", VIRGINICA);
        iris(&folder, "-i in -o out/").run().exits(0);
        assert_eq!(unpacked_file(&folder, "out/a.json.gz"), predictions("setosa"));
        assert_eq!(folder.text("out/b.json"), predictions("virginica"));
    }
}

mod resume {
    use super::*;

    const CHECKPOINTS: &str = "--resume --checkpoint-bytes 2000 --checkpoint-seconds";

    #[test]
    fn a_run_that_was_stopped_goes_on_to_the_bytes_of_one_that_was_not() {
        let text = mixed(3_000);
        for (ending, _) in CODECS {
            let folder = Folder::new();
            folder.write(&format!("in.json.{ending}"), packed(ending, &text));
            let out = format!("out.json.{ending}");
            let bad = format!("bad.ldjson.{ending}");
            let words = format!("-i in.json.{ending} -o {out} --rejects {bad} {CHECKPOINTS}");
            // Where nothing is journalled on the way, frames end at the same places.
            iris(&folder, &format!("{words} 1000")).run().exits(1);
            let whole = [&out, &bad].map(|name| folder.read(name).unwrap());
            iris(&folder, &format!("-i in.json.{ending} -o plain.json")).run().exits(1);
            assert_eq!(unpacked_file(&folder, &out), folder.text("plain.json"));
            for max_rejects in [0, 1, 333, 700, 999] {
                [&out, &bad].iter().for_each(|it| fs::remove_file(folder.path().join(it)).unwrap());
                let stopped = format!("{words} 0 --max-rejects {max_rejects}");
                iris(&folder, &stopped).run().exits(6);
                assert_eq!(folder.read(&out), None);
                let ran = iris(&folder, &format!("{words} 0")).run().exits(1);
                if max_rejects > 100 {
                    ran.says("resumed at line ");
                }
                for (name, whole) in [&out, &bad].into_iter().zip(&whole) {
                    assert!(folder.read(name).as_ref() == Some(whole), "{name}, {max_rejects}");
                }
            }
        }
    }

    #[test]
    fn it_goes_on_with_the_same_compression_only() {
        let folder = Folder::new();
        folder.write("in.json", mixed(3_000));
        let words = format!("-i in.json -o out {CHECKPOINTS} 0");
        iris(&folder, &format!("{words} --max-rejects 500 --compression gzip")).run().exits(6);
        let ran = iris(&folder, &words).run().exits(3);
        ran.says("the output's compression was `gzip` and is `none`");
    }
}

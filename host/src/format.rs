//! Which format records have, and whether they are compressed: told by a file's name, or by a flag.
//!
//! A name is a list of endings: `.csv.gz` is CSV, compressed with gzip. What a name does not tell is
//! line-delimited JSON. Content is never guessed at, but for a compressed stream's first bytes, which
//! no record can begin with.

use std::path::Path;

/// A format of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Line-delimited JSON: one object a line.
    Ldjson,
    /// One JSON array of objects.
    JsonArray,
    /// Comma-separated values.
    Csv,
    /// The same with tabs.
    Tsv,
    /// Apache Parquet.
    Parquet,
    /// An Arrow IPC file (Feather, version 2).
    Arrow,
    /// An Arrow IPC stream.
    ArrowStream,
}

/// What is known of a format: its name on the command line, and the endings of its files.
struct Known {
    format: Format,
    name: &'static str,
    endings: &'static [&'static str],
}

const KNOWN: [Known; 7] = [
    known(Format::Ldjson, "ldjson", &["json", "jsonl", "ndjson", "ldjson"]),
    known(Format::JsonArray, "json-array", &[]),
    known(Format::Csv, "csv", &["csv"]),
    known(Format::Tsv, "tsv", &["tsv", "tab"]),
    known(Format::Parquet, "parquet", &["parquet"]),
    known(Format::Arrow, "arrow", &["arrow", "feather"]),
    known(Format::ArrowStream, "arrow-stream", &["arrows"]),
];

const fn known(format: Format, name: &'static str, endings: &'static [&'static str]) -> Known {
    Known { format, name, endings }
}

impl Format {
    /// All names that `--input-format` and `--output-format` take.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|known| known.name)
    }

    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        KNOWN.iter().find(|known| known.name == name).map(|known| known.format)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        let known = KNOWN.iter().find(|known| known.format == self);
        known.expect("each format stands in the table").name
    }

    /// What a file's name tells, the endings of compressed files aside.
    pub fn of(path: &Path) -> Option<Self> {
        let path = match Compression::of(path) {
            Some(_) => Path::new(path.file_stem()?),
            None => path,
        };
        let ending = ending(path)?;
        KNOWN
            .iter()
            .find(|known| known.endings.contains(&ending.as_str()))
            .map(|known| known.format)
    }

    /// Whether what was written of an output can be gone on with: not where what is missing of it is
    /// still in memory, or its footer speaks of all of it.
    pub fn can_resume_output(self) -> bool {
        !self.is_binary()
    }

    /// Whether its records have columns, the same for all.
    pub fn is_table(self) -> bool {
        !matches!(self, Format::Ldjson | Format::JsonArray)
    }

    /// Whether it is a table that is written as text.
    pub fn is_text_table(self) -> bool {
        self.is_table() && !self.is_binary()
    }

    /// Whether its bytes can't be cut into lines of text.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Parquet | Format::Arrow | Format::ArrowStream)
    }
}

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952, in one member or several.
    Gzip,
    /// RFC 8878, in one frame or several.
    Zstd,
}

impl Compression {
    /// What a file's name tells.
    pub fn of(path: &Path) -> Option<Self> {
        match ending(path)?.as_str() {
            "gz" => Some(Compression::Gzip),
            "zst" | "zstd" => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// What the first bytes of a stream tell, of which four are enough.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            // A frame, or one that is to be skipped (RFC 8878 §3.1.2), which may stand before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Some(Compression::Zstd)
            }
            _ => None,
        }
    }

    /// Whether these first bytes do not tell yet, since those of a compressed stream may begin so.
    pub fn may_begin(bytes: &[u8]) -> bool {
        let begins: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];
        let begins = begins.iter().any(|it| bytes.len() < it.len() && it.starts_with(bytes));
        begins || matches!(bytes, [0x50..=0x5f] | [0x50..=0x5f, 0x2a] | [0x50..=0x5f, 0x2a, 0x4d])
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}

fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_a_compression_as_soon_as_they_can() {
        let begins: [(&[u8], Compression); 3] = [
            (&[0x1f, 0x8b, 8, 0], Compression::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
            (&[0x5f, 0x2a, 0x4d, 0x18], Compression::Zstd),
        ];
        for (bytes, compression) in begins {
            assert_eq!(Compression::of_bytes(bytes), Some(compression));
            for end in 0..bytes.len() {
                let told = Compression::of_bytes(&bytes[..end]).is_some();
                assert_eq!(Compression::may_begin(&bytes[..end]), !told, "{bytes:?} to {end}");
            }
        }
        for text in ["{", "[1", "\u{feff}", "a", "(a", "P,", "P*N", "\u{1f}8", "\n"] {
            let bytes = text.as_bytes();
            assert!(Compression::of_bytes(bytes).is_none() && !Compression::may_begin(bytes));
        }
    }

    #[test]
    fn a_files_name_tells_its_format_and_its_compression() {
        let told = |name: &str| (Format::of(name.as_ref()), Compression::of(name.as_ref()));
        for format in KNOWN.iter().map(|known| known.format) {
            assert_eq!(Format::named(format.name()), Some(format));
        }
        assert_eq!(told("a.JSON"), (Some(Format::Ldjson), None));
        assert_eq!(told("x/a.b.csv.gz"), (Some(Format::Csv), Some(Compression::Gzip)));
        assert_eq!(told("a.tsv.ZST"), (Some(Format::Tsv), Some(Compression::Zstd)));
        assert_eq!(told("a.gz"), (None, Some(Compression::Gzip)));
        assert_eq!(told("csv"), (None, None));
        assert_eq!(told(".csv"), (None, None)); // a hidden file without an ending
        assert_eq!(told("a.txt"), (None, None));
    }
}

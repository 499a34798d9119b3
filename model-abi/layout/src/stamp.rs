//! The stamp: what a plugin says of itself that can be read without loading it.
//!
//! An exported static, [`SYMBOL`], holds [`MAGIC`], then the length of a JSON text as a 32-bit
//! little-endian integer, then the text: `abi`, `requires`, `crate`, `version`, `compiler`,
//! `target`, `models`. It is plain data without relocations, so that a host finds it by reading
//! the file. Frozen; growth is new keys in the text.

/// Name of the exported static.
pub const SYMBOL: &str = "etl_host_plugin_stamp";

/// How every stamp begins.
pub const MAGIC: [u8; 16] = *b"etl-host-plugin\0";

/// Bytes before the JSON text: the magic and the text's length.
pub const HEAD_BYTES: usize = MAGIC.len() + 4;

/// No stamp is longer: a bound for whoever reads a file that lies.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;

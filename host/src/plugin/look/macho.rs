//! What a Mach-O file (`.dylib`) says of itself. The same skeleton as `elf.rs`.
//!
//! Never run on a Mac yet. On other systems it is compiled for its tests, which read a file made by
//! hand; it has also been tried, on Linux, on libraries that lld had linked for macOS.
//!
//! A universal file (several machines in one) is refused with a hint, since which of its parts
//! would be loaded is the loader's choice. There is no glibc to ask for, and the oldest macOS that
//! a file wants is left to the loader.

use super::{Bytes, Found, Machine, Refusal, SYMBOL, stamp_bytes};
use object::macho::{self, CpuType, FileType};
use object::read::macho::MachOFile64;
use object::read::{ExportTarget, NameOrOrdinal, Object, ObjectSegment, ReadCache};

/// A bound for a table that lies: more than any library exports.
const EXPORTS_MAX: usize = 1 << 20;

/// Whether a file that begins like this is Mach-O.
pub(super) fn is(start: &[u8]) -> bool {
    start.starts_with(&macho::FAT_MAGIC.to_be_bytes()) || shape(start).is_some()
}

/// Word size, and whether its numbers are big-endian.
fn shape(start: &[u8]) -> Option<(u32, bool)> {
    let magic = start.first_chunk()?;
    Some(match (u32::from_le_bytes(*magic), u32::from_be_bytes(*magic)) {
        (macho::MH_MAGIC, _) => (32, false),
        (macho::MH_MAGIC_64, _) => (64, false),
        (_, macho::MH_MAGIC) => (32, true),
        (_, macho::MH_MAGIC_64) => (64, true),
        _ => return None,
    })
}

/// Finds what there is, or says why this is no library for this machine.
pub(super) fn look(file: &Bytes) -> Result<Found, Refusal> {
    file.check_holds("its header", 0, 32)?;
    let Some((bits, big_endian)) = shape(&file.start()?) else {
        return Err(Refusal::NotShared {
            found: "a universal file (`lipo -thin` takes one machine's library out of it)",
        });
    };
    let number = |offset| -> Result<u32, Refusal> {
        let bytes = file.bytes(offset, 4)?.try_into().unwrap_or_default();
        Ok(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let machine = check_machine(CpuType(number(4)?), bits, big_endian)?;
    let found = match FileType(number(12)?) {
        macho::MH_DYLIB | macho::MH_BUNDLE => None,
        macho::MH_EXECUTE => Some("an executable"),
        macho::MH_OBJECT => Some("an object file"),
        macho::MH_CORE => Some("a core dump"),
        _ => Some("a Mach-O file of another type"),
    };
    if let Some(found) = found {
        return Err(Refusal::NotShared { found });
    }

    let cache = ReadCache::new(&file.file);
    let object = MachOFile64::<object::Endianness, _>::parse(&cache).map_err(damaged)?;
    let segments: Vec<_> = object.segments().map(|s| (s.address(), s.file_range())).collect();
    for &(_, (offset, bytes)) in &segments {
        file.check_holds("a segment", offset, bytes)?;
    }
    let bytes_up_to = |address: u64, count: u64| {
        let place = segments.iter().find_map(|&(start, (offset, bytes))| {
            let inside = address.checked_sub(start)?;
            (inside < bytes).then(|| (offset + inside, bytes - inside))
        });
        place.map_or(Ok(Vec::new()), |(offset, left)| file.bytes(offset, count.min(left)))
    };
    Ok(Found {
        machine,
        needed: needed(&object).map_err(damaged)?,
        glibc_newest: None,
        stamp: match address_of(&object, SYMBOL).map_err(damaged)? {
            Some(address) => Some(stamp_bytes(|count| bytes_up_to(address, count))?),
            None => None,
        },
    })
}

fn damaged(error: object::Error) -> Refusal {
    Refusal::Damaged(error.to_string())
}

fn check_machine(cpu: CpuType, bits: u32, big_endian: bool) -> Result<Machine, Refusal> {
    let architecture = match cpu {
        macho::CPU_TYPE_ARM64 => "aarch64",
        macho::CPU_TYPE_X86_64 => "x86_64",
        macho::CPU_TYPE_X86 => "x86",
        macho::CPU_TYPE_ARM => "arm",
        macho::CPU_TYPE_POWERPC => "powerpc",
        other => &format!("machine {other}"),
    };
    let found = Machine { architecture: architecture.to_owned(), bits, big_endian };
    let expected = Machine::this();
    if found != expected { Err(Refusal::OtherMachine { found, expected }) } else { Ok(found) }
}

type Image<'a, 'f> = MachOFile64<'a, object::Endianness, &'a ReadCache<&'f std::fs::File>>;

fn needed(object: &Image<'_, '_>) -> object::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut commands = object.macho_load_commands()?;
    while let Some(command) = commands.next()? {
        if let Some(library) = command.dylib()? {
            let name = command.string(object.endian(), library.dylib.name)?;
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(names)
}

/// Where the symbol `name` is defined. In this format C's names begin with an underscore.
fn address_of(object: &Image<'_, '_>, name: &str) -> object::Result<Option<u64>> {
    for export in object.exports()?.take(EXPORTS_MAX) {
        let export = export?;
        let NameOrOrdinal::Name(found) = export.name() else { continue };
        if found.strip_prefix(b"_") == Some(name.as_bytes())
            && let ExportTarget::Address { address } = export.target()
        {
            return Ok(Some(address));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{damage_at_random, said, stamped};
    use super::*;
    use std::path::Path;

    const STAMP: &str = r#"{"abi":"1.0.0"}"#;
    /// Where the segment lies in memory.
    const BASE: u64 = 0x4000;

    /// Header, a segment with one section, a needed library, a symbol table; then symbols,
    /// strings, stamp.
    fn tiny(symbol: &str) -> Vec<u8> {
        let cpu = match std::env::consts::ARCH {
            "aarch64" => macho::CPU_TYPE_ARM64.0,
            _ => macho::CPU_TYPE_X86_64.0,
        };
        let u32s = |numbers: &[u32]| -> Vec<u8> {
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
        };
        let u64s = |numbers: &[u64]| -> Vec<u8> {
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
        };
        let name = |name: &str| -> Vec<u8> {
            let mut bytes = name.as_bytes().to_vec();
            bytes.resize(16, 0);
            bytes
        };
        let (commands_bytes, strings) = (72 + 80 + 56 + 24, format!("\0{symbol}\0"));
        let symbols_at = 32 + commands_bytes;
        let strings_at = symbols_at + 16;
        let stamp_at = strings_at + strings.len() as u32;
        let stamp = stamped(STAMP);
        let len = u64::from(stamp_at) + stamp.len() as u64;
        let stamp_address = BASE + u64::from(stamp_at);
        [
            u32s(&[macho::MH_MAGIC_64, cpu, 0, macho::MH_DYLIB.0, 3, commands_bytes, 0, 0]),
            u32s(&[macho::LC_SEGMENT_64.0, 72 + 80]),
            name("__TEXT"),
            u64s(&[BASE, len, 0, len]),
            u32s(&[5, 5, 1, 0]),
            name("__const"),
            name("__TEXT"),
            u64s(&[stamp_address, stamp.len() as u64]),
            u32s(&[stamp_at, 0, 0, 0, 0, 0, 0, 0]),
            u32s(&[macho::LC_LOAD_DYLIB.0, 56, 24, 0, 0, 0]),
            b"/usr/lib/libSystem.B.dylib\0\0\0\0\0\0".to_vec(),
            u32s(&[macho::LC_SYMTAB.0, 24, symbols_at, 1, strings_at, strings.len() as u32]),
            u32s(&[1, u32::from_le_bytes([macho::N_SECT.0 | 1, 1, 0, 0])]),
            u64s(&[stamp_address]),
            strings.into_bytes(),
            stamp,
        ]
        .concat()
    }

    fn look_at(path: &Path) -> Result<Found, Refusal> {
        look(&Bytes::open(path)?)
    }

    fn look_at_bytes(bytes: &[u8]) -> Result<Found, Refusal> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        look_at(file.path())
    }

    #[track_caller]
    fn check_patched(offset: usize, patch: u8, expected: &str) {
        let mut bytes = tiny("_etl_host_plugin_stamp");
        bytes[offset] = patch;
        assert_eq!(
            look_at_bytes(&bytes).map(|_| ()).map_err(|r| said(&r)),
            Err(expected.to_owned())
        );
    }

    #[test]
    fn a_plugin_shows_its_stamp() {
        let bytes = tiny("_etl_host_plugin_stamp");
        assert!(is(&bytes));
        let found = look_at_bytes(&bytes).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(found.needed, ["/usr/lib/libSystem.B.dylib"]);
        assert_eq!(found.stamp, Some(stamped(STAMP)));
        let found = look_at_bytes(&tiny("etl_host_plugin_stamp")).unwrap_or_else(|r| panic!("{r}"));
        assert_eq!(found.stamp, None);
    }

    #[test]
    fn what_is_no_library_for_this_machine_is_refused() {
        let this = Machine::this();
        check_patched(12, 2, "expected a shared library, found an executable");
        check_patched(12, 1, "expected a shared library, found an object file");
        check_patched(
            4,
            99,
            &format!("expected a library for {this}, found one for 64-bit machine 16777315"),
        );
        let universal = [0xca, 0xfe, 0xba, 0xbe].into_iter().chain([0; 60]).collect::<Vec<_>>();
        assert!(is(&universal));
        assert!(matches!(look_at_bytes(&universal), Err(Refusal::NotShared { .. })));
    }

    #[test]
    fn a_library_cut_anywhere_is_refused() {
        let bytes = tiny("_etl_host_plugin_stamp");
        for len in 1..bytes.len() {
            assert!(look_at_bytes(&bytes[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn damage_never_panics() {
        damage_at_random(&tiny("_etl_host_plugin_stamp"), 10_000, |path| drop(look_at(path)));
    }
}

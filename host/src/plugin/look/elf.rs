//! What an ELF file says of itself, read by the path that the loader takes: program headers, then
//! the dynamic table. Section headers are for linkers and debuggers; we only check that they have
//! not been cut off.
//!
//! Hosts are 64 bit, and only a file of this machine's own word size and byte order is read
//! further than its header.
//!
//! The trap: an address is not an offset. Every address goes through [`Image::find`], which knows
//! only bytes that are in the file.

mod dynamic;

use super::{Bytes, Found, Machine, Refusal, SYMBOL, SYSTEM, stamp_bytes};
use dynamic::Dynamic;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::endian::NativeEndian;
use object::pod::{self, Pod};

const _: () = assert!(usize::BITS == 64, "on a 32-bit host, read the 32-bit structs here");

/// Linkers write about a dozen.
const SEGMENTS_MAX: u16 = 256;

/// Whether a file that begins like this is ELF.
pub(super) fn is(start: &[u8]) -> bool {
    start.starts_with(&elf::ELFMAG)
}

/// Finds what there is, or says why this is no library for this machine.
pub(super) fn look(file: &Bytes) -> Result<Found, Refusal> {
    file.check_holds("its header", 0, size_of::<FileHeader64<NativeEndian>>() as u64)?;
    let header: FileHeader64<NativeEndian> = read_at(file, 0)?;
    let machine = check_machine(&header)?;
    let found = match header.e_type.get(NativeEndian) {
        elf::ET_DYN => None,
        elf::ET_EXEC => Some("an executable"),
        elf::ET_REL => Some("an object file"),
        elf::ET_CORE => Some("a core dump"),
        _ => Some("an ELF file of unknown type"),
    };
    if let Some(found) = found {
        return Err(Refusal::NotShared { found });
    }
    let headers = program_headers(file, &header)?;
    let image = Image::new(file, &headers)?;
    check_sections(file, &header)?;

    let of_type = |kind| headers.iter().find(|header| header.p_type.get(NativeEndian) == kind);
    let dynamic = match of_type(elf::PT_DYNAMIC) {
        // What `objcopy --only-keep-debug` leaves of a library.
        Some(dynamic) if dynamic.p_filesz.get(NativeEndian) == 0 => {
            Err("split-off debug information")
        }
        Some(dynamic) => Ok(dynamic),
        None => Err("an ELF file without a dynamic table"),
    };
    let dynamic = dynamic.map_err(|found| Refusal::NotShared { found })?;
    let dynamic = Dynamic::read(&image, dynamic.p_vaddr.get(NativeEndian))?;
    let stamp_at = dynamic.address_of(&image, SYMBOL)?;
    // A position-independent executable is ET_DYN too. Linkers have marked it since 2015, and
    // `dlopen` refuses the mark. Before, only the wish for an interpreter gave it away, which some
    // libraries have as well, so that it counts only where it spares the answer "not a plugin".
    let interpreted = of_type(elf::PT_INTERP).is_some() && !dynamic.soname;
    if dynamic.pie || (interpreted && stamp_at.is_none()) {
        return Err(Refusal::NotShared { found: "an executable" });
    }
    let needed = dynamic.needed.iter().map(|&name| dynamic.text(&image, name));
    Ok(Found {
        machine,
        needed: needed.collect::<Result<_, _>>()?,
        glibc_newest: dynamic.glibc_newest(&image)?,
        stamp: match stamp_at {
            Some(address) => Some(stamp_bytes(|count| image.bytes_up_to(address, count))?),
            None => None,
        },
    })
}

fn check_machine(header: &FileHeader64<NativeEndian>) -> Result<Machine, Refusal> {
    let ident = &header.e_ident;
    let bits = match ident.class {
        elf::ELFCLASS32 => 32,
        elf::ELFCLASS64 => 64,
        other => {
            return Err(Refusal::Damaged(format!("its word size has the unknown code {other}")));
        }
    };
    let big_endian = match ident.data {
        elf::ELFDATA2LSB => false,
        elf::ELFDATA2MSB => true,
        other => {
            return Err(Refusal::Damaged(format!("its byte order has the unknown code {other}")));
        }
    };
    let expected = Machine::this();
    // The number of the machine stands at the same place in all of them, but in the file's order.
    let number = header.e_machine.get(NativeEndian).0;
    let number = if big_endian == expected.big_endian { number } else { number.swap_bytes() };
    let architecture = match (elf::Machine(number), bits) {
        (elf::EM_X86_64, _) => "x86_64",
        (elf::EM_AARCH64, _) => "aarch64",
        (elf::EM_386, _) => "x86",
        (elf::EM_ARM, _) => "arm",
        (elf::EM_RISCV, 32) => "riscv32",
        (elf::EM_RISCV, _) => "riscv64",
        (elf::EM_LOONGARCH, _) => "loongarch64",
        (elf::EM_PPC64, _) => "powerpc64",
        (elf::EM_S390, _) => "s390x",
        _ => &format!("machine {number}"),
    };
    let found = Machine { architecture: architecture.to_owned(), bits, big_endian };
    if found != expected {
        return Err(Refusal::OtherMachine { found, expected });
    }
    let system = match ident.os_abi {
        elf::ELFOSABI_SYSV | elf::ELFOSABI_GNU => return Ok(found),
        elf::ELFOSABI_FREEBSD => "FreeBSD",
        elf::ELFOSABI_NETBSD => "NetBSD",
        elf::ELFOSABI_OPENBSD => "OpenBSD",
        elf::ELFOSABI_SOLARIS => "Solaris",
        other => &format!("system {other}"),
    };
    Err(Refusal::OtherSystem { found: format!("an ELF file ({system})"), expected: SYSTEM })
}

fn program_headers(
    file: &Bytes,
    header: &FileHeader64<NativeEndian>,
) -> Result<Vec<ProgramHeader64<NativeEndian>>, Refusal> {
    let each = size_of::<ProgramHeader64<NativeEndian>>() as u64;
    let count = header.e_phnum.get(NativeEndian);
    if u64::from(header.e_phentsize.get(NativeEndian)) != each || count > SEGMENTS_MAX {
        return Err(Refusal::Damaged(format!(
            "it has {count} program headers of {} bytes, and should have at most {SEGMENTS_MAX} of {each}",
            header.e_phentsize.get(NativeEndian)
        )));
    }
    let at = header.e_phoff.get(NativeEndian);
    file.check_holds("its program header table", at, each * u64::from(count))?;
    (0..u64::from(count)).map(|index| read_at(file, at + index * each)).collect()
}

/// Most linkers put the section headers last, so this notices a missing end that no segment does.
fn check_sections(file: &Bytes, header: &FileHeader64<NativeEndian>) -> Result<(), Refusal> {
    let at = header.e_shoff.get(NativeEndian);
    if at == 0 {
        return Ok(());
    }
    let each = u64::from(header.e_shentsize.get(NativeEndian));
    let mut count = u64::from(header.e_shnum.get(NativeEndian));
    let first_bytes = size_of::<SectionHeader64<NativeEndian>>() as u64;
    file.check_holds("its section header table", at, first_bytes)?;
    if count == 0 {
        // More than the header's 16 bits can say: the first section says it instead.
        let first: SectionHeader64<NativeEndian> = read_at(file, at)?;
        count = first.sh_size.get(NativeEndian);
    }
    file.check_holds("its section header table", at, each.saturating_mul(count))
}

/// The parts of the file that the loader maps, by address.
struct Image<'a> {
    file: &'a Bytes,
    segments: Vec<Segment>,
}

/// `bytes` of the file, from `offset` on, that go to `address`. They are in the file.
struct Segment {
    address: u64,
    offset: u64,
    bytes: u64,
}

impl<'a> Image<'a> {
    fn new(file: &'a Bytes, headers: &[ProgramHeader64<NativeEndian>]) -> Result<Self, Refusal> {
        let mut segments = Vec::new();
        for header in headers.iter().filter(|h| h.p_type.get(NativeEndian) == elf::PT_LOAD) {
            let segment = Segment {
                address: header.p_vaddr.get(NativeEndian),
                offset: header.p_offset.get(NativeEndian),
                bytes: header.p_filesz.get(NativeEndian),
            };
            file.check_holds("a segment", segment.offset, segment.bytes)?;
            segments.push(segment);
        }
        Ok(Image { file, segments })
    }

    /// The offset of an address and how many bytes of the file follow in its segment.
    fn find(&self, address: u64) -> Option<(u64, u64)> {
        self.segments.iter().find_map(|segment| {
            let inside = address.checked_sub(segment.address)?;
            (inside < segment.bytes).then(|| (segment.offset + inside, segment.bytes - inside))
        })
    }

    /// What lies `ahead` bytes after the address `base` of the table called `part`.
    fn read<T: Pod>(&self, part: &str, base: u64, ahead: u64) -> Result<T, Refusal> {
        match self.find(base.saturating_add(ahead)) {
            Some((offset, left)) if left >= size_of::<T>() as u64 => read_at(self.file, offset),
            _ => Err(outside(part)),
        }
    }

    /// `count` bytes at an address, or as many as the file holds there.
    fn bytes_up_to(&self, address: u64, count: u64) -> Result<Vec<u8>, Refusal> {
        let Some((offset, left)) = self.find(address) else { return Ok(Vec::new()) };
        self.file.bytes(offset, count.min(left))
    }
}

fn outside(part: &str) -> Refusal {
    Refusal::Damaged(format!("its {part} points out of its segments"))
}

/// A struct of the file at an offset that has been checked.
fn read_at<T: Pod>(file: &Bytes, offset: u64) -> Result<T, Refusal> {
    let mut space = [0_u64; 8]; // the largest struct of this file, aligned for any
    let bytes = &mut pod::bytes_of_slice_mut(&mut space)[..size_of::<T>()];
    file.read_exact(bytes, offset)?;
    let (value, _) = pod::from_bytes(bytes).expect("the space is large enough and aligned");
    Ok(*value)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{damage_at_random, said, stamped};
    use super::super::{Looked, look};
    use super::dynamic::ENTRIES_MAX;
    use super::*;
    use std::path::Path;

    const STAMP: &str = r#"{"abi":"1.0.0","models":[{"qualified_name":"tiny"}]}"#;
    /// Where the one segment lies in memory: not where it lies in the file.
    const BASE: u64 = 0x10000;

    /// The smallest library that is a plugin. Its parts follow one another, each knowing only
    /// those before it: header, program headers, strings, hash table, versions, stamp, symbols,
    /// dynamic table, one section header.
    struct Tiny {
        stamp: Vec<u8>,
        symbol: &'static str,
        glibc: &'static str,
        gnu_hash: bool,
        dynamic: Vec<(i64, u64)>,
    }

    impl Default for Tiny {
        fn default() -> Self {
            Tiny {
                stamp: stamped(STAMP),
                symbol: SYMBOL,
                glibc: "GLIBC_2.3.4",
                gnu_hash: true,
                dynamic: Vec::new(),
            }
        }
    }

    impl Tiny {
        fn build(self) -> Vec<u8> {
            let u16s = |numbers: &[u16]| numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
            let u32s = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
            let u64s = |numbers: &[u64]| numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
            let mut bytes = vec![0; 64 + 3 * 56];
            let mut add = |part: Vec<u8>| {
                bytes.resize(bytes.len().next_multiple_of(8), 0);
                let at = bytes.len() as u64;
                bytes.extend(part);
                BASE + at
            };
            let texts = format!("\0{}\0libc.so.6\0{}\0", self.symbol, self.glibc);
            let place = |text: &str| texts.find(text).unwrap() as u32;
            let strings = add(texts.clone().into_bytes());
            let hash = add(if self.gnu_hash {
                let hash = elf::gnu_hash(self.symbol.as_bytes()) | 1;
                u32s(&[1, 1, 1, 0, !0, !0, 1, hash])
            } else {
                u32s(&[1, 2, 1, 0, 0])
            });
            let versions: Vec<u8> = [
                u16s(&[1, 1]),
                u32s(&[place("libc"), 16, 0, 0]),
                u16s(&[0, 2]),
                u32s(&[place(self.glibc), 0]),
            ]
            .concat();
            let versions = add(versions);
            let stamp_bytes = self.stamp.len() as u64;
            let stamp = add(self.stamp);
            let defined: Vec<u8> =
                [u32s(&[place(self.symbol)]), u16s(&[0x11, 1]), u64s(&[stamp, stamp_bytes])]
                    .concat();
            let symbols = add([vec![0; 24], defined].concat());
            let mut entries = vec![
                (elf::DT_NEEDED.0, place("libc").into()),
                (elf::DT_STRTAB.0, strings),
                (elf::DT_STRSZ.0, texts.len() as u64),
                (elf::DT_SYMTAB.0, symbols),
                (if self.gnu_hash { elf::DT_GNU_HASH.0 } else { elf::DT_HASH.0 }, hash),
                (elf::DT_VERNEED.0, versions),
            ];
            entries.extend(self.dynamic);
            entries.push((elf::DT_NULL.0, 0));
            let entries: Vec<_> = entries.iter().flat_map(|&(tag, n)| [tag as u64, n]).collect();
            let dynamic = add(u64s(&entries));
            let sections = add(vec![0; 64]) - BASE;

            // The test itself knows how a file of this machine begins.
            let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
            let header: Vec<u8> = [
                own[..16].to_vec(),
                u16s(&[elf::ET_DYN.0]),
                own[18..20].to_vec(),
                u32s(&[1]),
                u64s(&[0, 64, sections]),
                u32s(&[0]),
                u16s(&[64, 56, 3, 64, 1, 0]),
            ]
            .concat();
            bytes[..64].copy_from_slice(&header);
            let segment = |kind: elf::ProgramType, at, len| -> Vec<u8> {
                [u32s(&[kind.0, 4]), u64s(&[at, BASE + at, BASE + at, len, len, 8])].concat()
            };
            let segments: Vec<u8> = [
                segment(elf::PT_LOAD, 0, sections),
                segment(elf::PT_DYNAMIC, dynamic - BASE, sections - (dynamic - BASE)),
                segment(elf::PT_NULL, 0, 0),
            ]
            .concat();
            bytes[64..64 + 3 * 56].copy_from_slice(&segments);
            bytes
        }
    }

    fn look_at(bytes: &[u8]) -> Result<Looked, Refusal> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        look(file.path())
    }

    #[track_caller]
    fn check_refused(bytes: &[u8], expected: &str) {
        assert_eq!(said(&look_at(bytes).unwrap_err()), expected);
    }

    /// Refused with `expected` when `patch` replaces the bytes at `offset`.
    #[track_caller]
    fn check_patched(offset: usize, patch: &[u8], expected: &str) {
        let mut bytes = Tiny::default().build();
        bytes[offset..offset + patch.len()].copy_from_slice(patch);
        check_refused(&bytes, expected);
    }

    #[test]
    fn a_plugin_is_known_by_either_hash_table() {
        for gnu_hash in [true, false] {
            let looked = look_at(&Tiny { gnu_hash, ..Tiny::default() }.build()).unwrap();
            assert_eq!(looked.stamp.models[0].qualified_name, "tiny");
            assert_eq!((looked.format, looked.machine), ("ELF", Machine::this()));
            assert_eq!(looked.needed, ["libc.so.6"]);
            assert_eq!(looked.glibc_newest, Some((2, 3)));
        }
    }

    #[test]
    fn a_library_without_the_symbol_is_no_plugin() {
        let message = "expected a plugin, found a shared library without `etl_host_plugin_stamp`";
        for gnu_hash in [true, false] {
            let tiny = Tiny { symbol: "another_name", gnu_hash, ..Tiny::default() };
            check_refused(&tiny.build(), message);
        }
        // The C library that this test runs on, where there is one.
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let paths = maps.lines().filter_map(|line| line.split_ascii_whitespace().nth(5));
        for path in paths.filter(|path| path.ends_with("/libc.so.6")) {
            assert_eq!(look(Path::new(path)).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_elf_file_that_is_no_library_is_refused_by_its_kind() {
        let message = |found| format!("expected a shared library, found {found}");
        let own = std::env::current_exe().unwrap();
        assert_eq!(look(&own).unwrap_err().to_string(), message("an executable"));
        for (kind, found) in [
            (elf::ET_EXEC, "an executable"),
            (elf::ET_REL, "an object file"),
            (elf::ET_CORE, "a core dump"),
            (elf::ET_NONE, "an ELF file of unknown type"),
        ] {
            check_patched(16, &kind.0.to_ne_bytes(), &message(found));
        }
        let position_independent =
            Tiny { dynamic: vec![(elf::DT_FLAGS_1.0, elf::DF_1_PIE.0)], ..Tiny::default() };
        check_refused(&position_independent.build(), &message("an executable"));
        check_patched(64 + 56, &[0; 4], &message("an ELF file without a dynamic table"));
        check_patched(64 + 56 + 32, &[0; 8], &message("split-off debug information"));
    }

    #[test]
    fn a_library_that_can_also_be_run_is_a_library() {
        let interpreted = |tiny: Tiny| {
            let mut bytes = tiny.build();
            bytes[64 + 2 * 56..][..4].copy_from_slice(&elf::PT_INTERP.0.to_ne_bytes());
            look_at(&bytes).map_err(|refusal| refusal.to_string())
        };
        assert!(interpreted(Tiny::default()).is_ok());
        // Without a stamp, only its name tells it from an old executable.
        let unstamped = || Tiny { symbol: "another_name", ..Tiny::default() };
        let refusal = interpreted(unstamped()).unwrap_err();
        assert_eq!(refusal, "expected a shared library, found an executable");
        let named = Tiny { dynamic: vec![(elf::DT_SONAME.0, 1)], ..unstamped() };
        let refusal = interpreted(named).unwrap_err();
        assert!(refusal.contains("expected a plugin"), "{refusal}");
    }

    #[test]
    fn a_library_for_another_machine_is_refused() {
        let this = Machine::this();
        let (other, number) = match this.architecture.as_str() {
            "aarch64" => ("x86_64", elf::EM_X86_64.0),
            _ => ("aarch64", elf::EM_AARCH64.0),
        };
        let message = |found: &str| format!("expected a library for {this}, found one for {found}");
        check_patched(18, &number.to_ne_bytes(), &message(&format!("64-bit {other}")));
        check_patched(18, &0xabc_u16.to_ne_bytes(), &message("64-bit machine 2748"));
        check_patched(4, &[1], &message(&format!("32-bit {}", this.architecture)));
        check_patched(4, &[9], "it is damaged: its word size has the unknown code 9");
        check_patched(5, &[9], "it is damaged: its byte order has the unknown code 9");
        if !this.big_endian {
            let mut bytes = Tiny::default().build();
            bytes[5] = 2;
            bytes[18..20].copy_from_slice(&elf::EM_S390.0.to_be_bytes());
            check_refused(&bytes, &message("64-bit big-endian s390x"));
        }
        check_patched(7, &[9], "expected a library for Linux, found an ELF file (FreeBSD)");
    }

    #[test]
    fn a_library_cut_anywhere_is_refused() {
        let bytes = Tiny::default().build();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        assert!(look(file.path()).is_ok());
        for len in (4..bytes.len() as u64).rev() {
            file.as_file().set_len(len).unwrap();
            match look(file.path()) {
                Err(Refusal::Truncated { needs, has, .. }) => assert!(has == len && needs > has),
                other => panic!("cut to {len}: {other:?}"),
            }
        }
        let sections = bytes.len() - 64;
        check_refused(
            &bytes[..sections],
            &format!(
                "it is cut short: its section header table ends at byte {}, the file at byte {sections}",
                sections + 64
            ),
        );
    }

    #[test]
    fn tables_that_lead_out_of_the_file_are_refused() {
        let huge = u64::MAX.to_ne_bytes();
        let len = Tiny::default().build().len();
        let short = |part: &str, needs: u64| {
            format!("it is cut short: {part} ends at byte {needs}, the file at byte {len}")
        };
        check_patched(64 + 32, &huge, &short("a segment", u64::MAX));
        check_patched(40, &huge, &short("its section header table", u64::MAX));
        check_patched(32, &huge, &short("its program header table", u64::MAX));
        let outside = "it is damaged: its dynamic table points out of its segments";
        check_patched(64 + 56 + 16, &huge, outside);
        for (tag, part) in [
            (elf::DT_SYMTAB, "its symbol table points out of its segments"),
            (elf::DT_GNU_HASH, "its symbol hash table points out of its segments"),
            (elf::DT_VERNEED, "its table of needed versions points out of its segments"),
            (elf::DT_STRTAB, "a name of its string table does not end"),
        ] {
            for address in [0, u64::MAX] {
                let tiny = Tiny { dynamic: vec![(tag.0, address)], ..Tiny::default() };
                check_refused(&tiny.build(), &format!("it is damaged: {part}"));
            }
        }
        let many = vec![(elf::DT_DEBUG.0, 0); ENTRIES_MAX as usize];
        check_refused(
            &Tiny { dynamic: many, ..Tiny::default() }.build(),
            "it is damaged: its dynamic table has more than 4096 entries",
        );
        check_patched(
            56,
            &300_u16.to_ne_bytes(),
            "it is damaged: it has 300 program headers of 56 bytes, and should have at most 256 of 56",
        );
    }

    #[test]
    fn a_stamp_that_is_garbled_or_asks_too_much_is_refused() {
        let with = |stamp: Vec<u8>| Tiny { stamp, ..Tiny::default() }.build();
        let garbled = |why| format!("its stamp is garbled; {why}");
        check_refused(&with(vec![b'x'; 64]), &garbled("it does not begin as a stamp does"));
        let mut long = stamped(STAMP);
        long[18] = 0xff;
        check_refused(
            &with(long),
            &garbled("it says it is 16711732 bytes long, the most is 1048576"),
        );
        let mut longer_than_the_file = stamped(STAMP);
        longer_than_the_file[17] = 0xff;
        check_refused(&with(longer_than_the_file), &garbled("it ends too early"));
        let not_json = with(stamped("{\"abi\":1}"));
        assert!(matches!(look_at(&not_json), Err(Refusal::StampGarbled(_))));
        let endless = format!(r#"{{"abi":"1.0.0","models":"{}"}}"#, "x".repeat(100_000));
        let message = said(&look_at(&with(stamped(&endless))).unwrap_err());
        let beginning = garbled("its text is garbled: invalid type: string \"xxx");
        assert!(message.starts_with(&beginning) && message.len() < 300, "{message}");
        check_refused(
            &with(stamped(r#"{"abi":"2.0.0"}"#)),
            "plugin speaks ABI 2.0.0, this host speaks 1.0.0",
        );
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn a_glibc_of_the_future_is_refused() {
        let bytes = Tiny { glibc: "GLIBC_99.1", ..Tiny::default() }.build();
        match look_at(&bytes) {
            Err(Refusal::NewerGlibc { asked: (99, 1), .. }) => {}
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tables_that_lead_in_a_circle_end() {
        let mut bytes = Tiny { gnu_hash: false, ..Tiny::default() }.build();
        let circle: Vec<u8> = [1_u32, 2, 1, 0, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
        let at = bytes.windows(circle.len()).position(|window| window == circle).unwrap();
        // The symbol follows itself, and has another name, so that the search goes on.
        bytes[at + 16..at + 20].copy_from_slice(&1_u32.to_ne_bytes());
        let name = bytes.windows(SYMBOL.len()).position(|w| w == SYMBOL.as_bytes()).unwrap();
        bytes[name] = b'E';
        check_refused(&bytes, "it is damaged: its symbol hash table does not end");
    }

    #[test]
    fn damage_never_panics() {
        damage_at_random(&Tiny::default().build(), 10_000, |path| drop(look(path)));
        damage_at_random(&Tiny { gnu_hash: false, ..Tiny::default() }.build(), 10_000, |path| {
            drop(look(path));
        });
    }
}

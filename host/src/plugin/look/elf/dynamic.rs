//! The dynamic table and what it leads to: names, symbols, versions. Symbols are looked up by hash,
//! so what is found here is what `dlsym` will find, in a stripped file as well.
//!
//! The trap: these tables have no length, only ends. A damaged one may lead in a circle or through
//! a gigabyte of zeros, so each walk counts its steps.

use super::super::major_minor;
use super::{Image, Refusal};
use object::elf::{self, Dyn64, GnuHashHeader, HashHeader, Sym64, Vernaux, Verneed};
use object::endian::{NativeEndian, U32};

/// A plugin needs a handful of libraries; the table also holds some thirty other entries.
pub(super) const ENTRIES_MAX: u64 = 4096;
/// Symbols that share a hash bucket: a few. Versions asked for: dozens.
const STEPS_MAX: usize = 4096;
/// File names and version names.
const TEXT_BYTES_MAX: u64 = 4096;

/// The entries of the dynamic table that we follow. Addresses and offsets, not yet checked.
#[derive(Default)]
pub(super) struct Dynamic {
    pub(super) needed: Vec<u64>,
    pub(super) soname: bool,
    pub(super) pie: bool,
    strings: u64,
    strings_bytes: u64,
    symbols: u64,
    gnu_hash: Option<u64>,
    hash: Option<u64>,
    versions: Option<u64>,
}

impl Dynamic {
    pub(super) fn read(image: &Image<'_>, address: u64) -> Result<Self, Refusal> {
        let mut dynamic = Dynamic::default();
        let each = size_of::<Dyn64<NativeEndian>>() as u64;
        for index in 0..ENTRIES_MAX {
            let entry: Dyn64<NativeEndian> = image.read("dynamic table", address, index * each)?;
            let value = entry.d_val.get(NativeEndian);
            match entry.d_tag.get(NativeEndian) {
                elf::DT_NULL => return Ok(dynamic),
                elf::DT_NEEDED => dynamic.needed.push(value),
                elf::DT_SONAME => dynamic.soname = true,
                elf::DT_FLAGS_1 => dynamic.pie = elf::DynamicFlags1(value).contains(elf::DF_1_PIE),
                elf::DT_STRTAB => dynamic.strings = value,
                elf::DT_STRSZ => dynamic.strings_bytes = value,
                elf::DT_SYMTAB => dynamic.symbols = value,
                elf::DT_GNU_HASH => dynamic.gnu_hash = Some(value),
                elf::DT_HASH => dynamic.hash = Some(value),
                elf::DT_VERNEED => dynamic.versions = Some(value),
                _ => {}
            }
        }
        Err(Refusal::Damaged(format!("its dynamic table has more than {ENTRIES_MAX} entries")))
    }

    /// Where the symbol `name` is defined, found as `dlsym` finds it.
    pub(super) fn address_of(&self, image: &Image<'_>, name: &str) -> Result<Option<u64>, Refusal> {
        match (self.gnu_hash, self.hash) {
            (Some(table), _) => self.find_by_gnu_hash(image, table, name),
            (None, Some(table)) => self.find_by_hash(image, table, name),
            (None, None) => Ok(None),
        }
    }

    /// The highest `GLIBC_2.x` among the versions that the file asks for, of whichever library.
    pub(super) fn glibc_newest(&self, image: &Image<'_>) -> Result<Option<(u32, u32)>, Refusal> {
        let part = "table of needed versions";
        let mut newest = None;
        let Some(mut library_at) = self.versions else { return Ok(None) };
        let mut steps = 0..STEPS_MAX;
        let mut step = || match steps.next() {
            Some(_) => Ok(()),
            None => Err(Refusal::Damaged(format!("its {part} does not end"))),
        };
        loop {
            step()?;
            let library: Verneed<NativeEndian> = image.read(part, library_at, 0)?;
            let mut at = library_at.saturating_add(library.vn_aux.get(NativeEndian).into());
            for _ in 0..library.vn_cnt.get(NativeEndian) {
                step()?;
                let version: Vernaux<NativeEndian> = image.read(part, at, 0)?;
                // The loader lets a weak one be missing.
                if !version.vna_flags.get(NativeEndian).contains(elf::VER_FLG_WEAK) {
                    let name = self.text(image, version.vna_name.get(NativeEndian).into())?;
                    newest = newest.max(name.strip_prefix("GLIBC_").and_then(major_minor));
                }
                at = at.saturating_add(version.vna_next.get(NativeEndian).into());
            }
            let next = library.vn_next.get(NativeEndian);
            if next == 0 {
                return Ok(newest);
            }
            library_at = library_at.saturating_add(next.into());
        }
    }

    /// The text at `offset` of the string table.
    pub(super) fn text(&self, image: &Image<'_>, offset: u64) -> Result<String, Refusal> {
        let most = self.strings_bytes.saturating_sub(offset).min(TEXT_BYTES_MAX);
        let address = self.strings.saturating_add(offset);
        // Names are short: a small read first.
        for count in [64, TEXT_BYTES_MAX] {
            let bytes = image.bytes_up_to(address, most.min(count))?;
            if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
                return Ok(String::from_utf8_lossy(&bytes[..end]).into_owned());
            }
        }
        Err(Refusal::Damaged("a name of its string table does not end".to_owned()))
    }

    /// The newer table: buckets hold the first symbol of a run, whose hashes end with a set bit.
    fn find_by_gnu_hash(
        &self,
        image: &Image<'_>,
        table: u64,
        name: &str,
    ) -> Result<Option<u64>, Refusal> {
        let part = "symbol hash table";
        let header: GnuHashHeader<NativeEndian> = image.read(part, table, 0)?;
        let [base, bloom, buckets] = [header.symbol_base, header.bloom_count, header.bucket_count]
            .map(|number| u64::from(number.get(NativeEndian)));
        let wanted = elf::gnu_hash(name.as_bytes());
        let Some(bucket) = u64::from(wanted).checked_rem(buckets) else { return Ok(None) };
        let buckets_at = size_of_val(&header) as u64 + bloom * 8;
        let first: U32<NativeEndian> = image.read(part, table, buckets_at + bucket * 4)?;
        let first = u64::from(first.get(NativeEndian));
        if first == 0 || first < base {
            return Ok(None); // an empty bucket
        }
        let hashes_at = buckets_at + buckets * 4;
        for symbol in (first..).take(STEPS_MAX) {
            let hash: U32<NativeEndian> =
                image.read(part, table, hashes_at + (symbol - base) * 4)?;
            let hash = hash.get(NativeEndian);
            if hash | 1 == wanted | 1 {
                let address = self.defined(image, symbol, name)?;
                if address.is_some() {
                    return Ok(address);
                }
            }
            if hash & 1 == 1 {
                return Ok(None);
            }
        }
        Err(Refusal::Damaged(format!("its {part} does not end")))
    }

    /// The older table: buckets and chains hold numbers of symbols, 0 ends a chain.
    fn find_by_hash(
        &self,
        image: &Image<'_>,
        table: u64,
        name: &str,
    ) -> Result<Option<u64>, Refusal> {
        let part = "symbol hash table";
        let header: HashHeader<NativeEndian> = image.read(part, table, 0)?;
        let buckets = u64::from(header.bucket_count.get(NativeEndian));
        let wanted = u64::from(elf::hash(name.as_bytes()));
        let Some(mut index) = wanted.checked_rem(buckets) else { return Ok(None) };
        for _ in 0..STEPS_MAX {
            let number: U32<NativeEndian> = image.read(part, table, 8 + index * 4)?;
            let symbol = u64::from(number.get(NativeEndian));
            if symbol == 0 {
                return Ok(None);
            }
            let address = self.defined(image, symbol, name)?;
            if address.is_some() {
                return Ok(address);
            }
            index = buckets + symbol;
        }
        Err(Refusal::Damaged(format!("its {part} does not end")))
    }

    /// The address of the symbol with this number, if it has this name and is defined here.
    fn defined(&self, image: &Image<'_>, number: u64, name: &str) -> Result<Option<u64>, Refusal> {
        let each = size_of::<Sym64<NativeEndian>>() as u64;
        let symbol: Sym64<NativeEndian> =
            image.read("symbol table", self.symbols, number * each)?;
        let here = symbol.st_shndx.get(NativeEndian) != elf::SHN_UNDEF
            && self.text(image, symbol.st_name.get(NativeEndian).into())? == name;
        Ok(here.then(|| symbol.st_value.get(NativeEndian)))
    }
}

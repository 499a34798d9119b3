//! What a worker may read: a fixed list of what native libraries ask for, and what was granted.
//! Landlock holds it to that; the watch uses the same list to tell what is out of bounds.
//!
//! Nothing here may be written to but `/dev/null`. Nothing may be executed: to load a library takes
//! no more than reading it.
//!
//! The trap: of `/proc` only files of the process itself are on the list, one by one, and never
//! `environ`: a folder there would open its neighbours' too. The kernel makes such files anew when
//! it has forgotten them, and landlock knows only those it was told of; so they are kept open.

use super::{Grants, SandboxError};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope,
};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Libraries, and what they read to know where they are and on what machine. Libraries lie in
/// stores of their own on some systems.
const LIBRARIES_NEED: &[&str] = &[
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/timezone",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];

/// Files of `/proc/self`.
pub(super) const OF_ITSELF: &[&str] = &[
    "auxv",
    "cgroup",
    "limits",
    "maps",
    "mountinfo",
    "mounts",
    "numa_maps",
    "smaps",
    "smaps_rollup",
    "stat",
    "statm",
    "status",
];

/// All files and folders that may be read, but for [`OF_ITSELF`]. Not all of them need exist.
pub(super) fn readable(grants: &Grants) -> Vec<PathBuf> {
    let paths = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    readable_with(grants, paths)
}

fn readable_with(grants: &Grants, library_paths: OsString) -> Vec<PathBuf> {
    let fixed = LIBRARIES_NEED.iter().map(PathBuf::from);
    let searched = std::env::split_paths(&library_paths).filter(|path| path.is_absolute());
    // A panic's backtrace looks up names in the program.
    let program = std::env::current_exe().ok();
    fixed.chain(searched).chain(program).chain(grants.read.iter().cloned()).collect()
}

/// Holds this thread, and all that it starts, to reading what may be read. Gives the version of
/// landlock that does so; `None` where the kernel has none.
pub(super) fn hold(grants: &Grants) -> Result<Option<u32>, SandboxError> {
    for path in &grants.read {
        if !path.is_absolute() {
            return Err(SandboxError::Relative { path: path.clone() });
        }
        path.metadata().map_err(|source| SandboxError::Grant { path: path.clone(), source })?;
    }
    let refused = |error: RulesetError| SandboxError::Kernel {
        what: "hold files (landlock)",
        source: io::Error::other(error),
    };
    // Best effort: of what the newest version can hold, as much as this kernel's.
    let newest = ABI::V10;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(newest)))
        .and_then(|rules| rules.scope(Scope::from_all(newest)))
        .and_then(Ruleset::create)
        .map_err(refused)?;
    for path in readable(grants) {
        // What is not there can't be read.
        let Ok(fd) = PathFd::new(&path) else { continue };
        let rule = PathBeneath::new(fd, rights(&path));
        rules = rules.add_rule(rule).map_err(refused)?;
    }
    for name in OF_ITSELF {
        let Ok(fd) = PathFd::new(Path::new("/proc/self").join(name)) else { continue };
        rules = rules.add_rule(PathBeneath::new(&fd, AccessFs::ReadFile)).map_err(refused)?;
        // Until the process ends, as said above.
        std::mem::forget(fd);
    }
    let status = rules.restrict_self().map_err(refused)?;
    let LandlockStatus::Available { effective_abi, kernel_abi } = status.landlock else {
        return Ok(None);
    };
    let version = kernel_abi.map_or(effective_abi as i32, |newer| newer);
    let held = status.ruleset != RulesetStatus::NotEnforced;
    Ok(held.then(|| u32::try_from(version).unwrap_or_default()))
}

fn rights(path: &Path) -> BitFlags<AccessFs> {
    if path.is_dir() {
        AccessFs::ReadFile | AccessFs::ReadDir
    } else if path == Path::new("/dev/null") {
        AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev
    } else {
        AccessFs::ReadFile.into()
    }
}

//! What this system's kernel has to hold a worker back with, found out without changing this
//! process; and what `--sandbox` makes of it.

use super::Mode;
use serde::Serialize;
use std::fmt;

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Support {
    /// The system and its kernel's release: `Linux 6.1.0`.
    pub kernel: String,
    /// The version of landlock's interface.
    pub landlock: Option<u32>,
    /// Whether calls can be filtered on this kind of machine.
    pub seccomp: bool,
    /// Whether the host is told what a worker tries.
    pub notifications: bool,
    /// Whether there are files in memory.
    pub memfd: bool,
    /// Whether a process can be held on to without its number.
    pub pidfd: bool,
    /// Whether a worker can ask to die with its host.
    pub dies_with_parent: bool,
}

/// Asks the kernel.
#[cfg(target_os = "linux")]
pub fn support() -> Support {
    use super::kernel::{knows_action, landlock_abi};
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::process::{PidfdFlags, getpid, parent_process_death_signal, pidfd_open};

    let filters = super::filter::KNOWS_MACHINE && knows_action(libc::SECCOMP_RET_ERRNO);
    Support {
        kernel: kernel(),
        landlock: landlock_abi(),
        seccomp: filters,
        // Who asks, and what for, is read in `/proc`.
        notifications: filters
            && knows_action(libc::SECCOMP_RET_USER_NOTIF)
            && std::path::Path::new("/proc/self/status").exists(),
        memfd: memfd_create("probe", MemfdFlags::CLOEXEC).is_ok(),
        pidfd: pidfd_open(getpid(), PidfdFlags::empty()).is_ok(),
        dies_with_parent: parent_process_death_signal().is_ok(),
    }
}

/// Asks the kernel, which has nothing of the kind.
#[cfg(not(target_os = "linux"))]
pub fn support() -> Support {
    Support { kernel: kernel(), ..Support::default() }
}

fn kernel() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy())
}

impl Support {
    /// What is missing for [`Mode::Require`]; `None` where nothing is. Being told of attempts is
    /// not needed for holding them back.
    pub fn lacking(&self) -> Option<String> {
        match (self.landlock, self.seccomp) {
            (Some(_), true) => None,
            (None, true) => Some("landlock, which holds back files".to_owned()),
            (Some(_), false) => Some("seccomp filters, which hold back all but files".to_owned()),
            (None, false) => Some("landlock and seccomp filters".to_owned()),
        }
    }

    /// What a run will do that asks for this, in a sentence.
    pub fn outlook(&self, mode: Mode) -> String {
        let told =
            if self.notifications { "tells what it stopped" } else { "can't tell what it stopped" };
        match (mode, self.landlock.is_some(), self.seccomp) {
            (Mode::Off, ..) => "holds nothing back".to_owned(),
            (_, true, true) => format!("holds back files, network and processes, and {told}"),
            (Mode::Require, ..) => {
                format!("refuses to run: this system lacks {}", self.lacking().unwrap_or_default())
            }
            (Mode::On, true, false) => {
                "holds back files, but no network and no processes".to_owned()
            }
            (Mode::On, false, true) => {
                format!("holds back writing, network and processes, but no reading, and {told}")
            }
            (Mode::On, false, false) => "holds nothing back".to_owned(),
        }
    }
}

/// What a version of landlock's interface can hold back, in words.
fn holds(version: u32) -> String {
    const KINDS: &[(u32, &str)] = &[
        (1, "files"),
        (3, "truncation"),
        (4, "TCP"),
        (5, "devices"),
        (6, "signals, abstract sockets"),
        (9, "sockets in files"),
    ];
    let held = KINDS.iter().filter(|(since, _)| *since <= version).map(|(_, what)| *what);
    held.collect::<Vec<_>>().join(", ")
}

/// A line for each thing, then what `--sandbox on` and `--sandbox require` will do.
impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &str| writeln!(f, "{name:<16}{value}");
        let yes =
            |is: bool, meaning: &str| format!("{} ({meaning})", if is { "yes" } else { "no" });
        line("kernel", &self.kernel)?;
        match self.landlock {
            Some(version) => line("landlock", &format!("version {version} ({})", holds(version)))?,
            None => line("landlock", "no (holds back files)")?,
        }
        line("seccomp", &yes(self.seccomp, "holds back network, processes and the rest"))?;
        line("notifications", &yes(self.notifications, "tell what a model tried"))?;
        line("memfd", &yes(self.memfd, "memory that host and worker share"))?;
        line("pidfd", &yes(self.pidfd, "the end of a worker, noticed at once"))?;
        line("parent's death", &yes(self.dies_with_parent, "a worker dies with its host"))?;
        for mode in [Mode::On, Mode::Require] {
            writeln!(f, "`--sandbox {mode}` {}", self.outlook(mode))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_lacks_is_what_a_run_does_without() {
        for (landlock, seccomp, notifications, on, require) in [
            (
                Some(7),
                true,
                true,
                "holds back files, network and processes, and tells what it stopped",
                None,
            ),
            (
                Some(1),
                true,
                false,
                "holds back files, network and processes, and can't tell what it stopped",
                None,
            ),
            (
                Some(4),
                false,
                false,
                "holds back files, but no network and no processes",
                Some("seccomp filters, which hold back all but files"),
            ),
            (
                None,
                true,
                true,
                "holds back writing, network and processes, but no reading, and tells what it stopped",
                Some("landlock, which holds back files"),
            ),
            (None, false, false, "holds nothing back", Some("landlock and seccomp filters")),
        ] {
            let support = Support { landlock, seccomp, notifications, ..Support::default() };
            assert_eq!(support.outlook(Mode::On), on);
            assert_eq!(support.lacking().as_deref(), require);
            let expected = require.map_or(on.to_owned(), |lacks| {
                format!("refuses to run: this system lacks {lacks}")
            });
            assert_eq!(support.outlook(Mode::Require), expected);
        }
    }

    #[test]
    fn a_line_says_what_a_version_of_landlock_holds() {
        let support =
            Support { kernel: "Linux 6.1.0".to_owned(), landlock: Some(4), ..Support::default() };
        let text = support.to_string();
        let lines: Vec<_> = text.lines().take(3).collect();
        assert_eq!(lines[0], "kernel          Linux 6.1.0");
        assert_eq!(lines[1], "landlock        version 4 (files, truncation, TCP)");
        assert_eq!(lines[2], "seccomp         no (holds back network, processes and the rest)");
    }
}

//! Whether anybody may write to a file, or put another one in its place.
//!
//! The folder that it lies in must not be writable for all, sticky or not: what a model reads beside its
//! plugin lies there too. Further up a sticky one (`/tmp`) is fine, since in there nobody can rename what
//! is another's. Both ways to the file are looked at: the one that was asked for, and the one behind all
//! links.
//!
//! Only the mode is asked. Who may write by a group or by an access list is who was let in.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const ALL_MAY_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// What anybody may write to, of the file that was opened at `path` and the folders that lead there.
pub(super) fn find(path: &Path, file: &File) -> io::Result<Option<PathBuf>> {
    let may_all = |metadata: &Metadata| metadata.mode() & ALL_MAY_WRITE != 0;
    if may_all(&file.metadata()?) {
        return Ok(Some(path.to_owned()));
    }
    for path in [std::path::absolute(path)?, path.canonicalize()?] {
        for (above, folder) in path.ancestors().skip(1).enumerate() {
            let metadata = folder.metadata()?;
            let is_sticky = metadata.mode() & STICKY != 0;
            if may_all(&metadata) && (above == 0 || !is_sticky) {
                return Ok(Some(folder.to_owned()));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    /// `modes`: of the folder above, the folder, the file.
    #[track_caller]
    fn check(modes: [u32; 3], expected: Option<&str>) {
        let temp = tempfile::tempdir().unwrap();
        let places = ["a", "a/b", "a/b/f"].map(|place| temp.path().join(place));
        fs::create_dir_all(&places[1]).unwrap();
        fs::write(&places[2], "x").unwrap();
        for (place, mode) in places.iter().zip(modes) {
            fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
        }
        let found = find(&places[2], &File::open(&places[2]).unwrap()).unwrap();
        let expected = expected.map(|place| temp.path().join(place));
        assert_eq!(found, expected, "{modes:?}");
    }

    #[test]
    fn what_anybody_may_write_to_is_found() {
        for (modes, expected) in [
            ([0o755, 0o755, 0o644], None),
            ([0o755, 0o775, 0o664], None),
            ([0o755, 0o755, 0o646], Some("a/b/f")),
            ([0o755, 0o757, 0o644], Some("a/b")),
            ([0o755, 0o1777, 0o644], Some("a/b")),
            ([0o1777, 0o755, 0o644], None),
            ([0o777, 0o755, 0o644], Some("a")),
        ] {
            check(modes, expected);
        }
    }

    #[test]
    fn a_link_is_looked_at_from_both_sides() {
        let temp = tempfile::tempdir().unwrap();
        let at = |place: &str| temp.path().join(place);
        for (folder, mode) in [("safe", 0o755), ("open", 0o777)] {
            fs::create_dir(at(folder)).unwrap();
            fs::write(at(folder).join("f"), "x").unwrap();
            fs::set_permissions(at(folder), Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("../safe/f", at("open/link")).unwrap();
        std::os::unix::fs::symlink("../open/f", at("safe/link")).unwrap();
        for link in ["open/link", "safe/link"] {
            let found = find(&at(link), &File::open(at(link)).unwrap()).unwrap();
            let found = found.unwrap().canonicalize().unwrap();
            assert_eq!(found, at("open").canonicalize().unwrap(), "{link}");
        }
    }
}

//! Where a log's hashes and entries are published (C2SP `tlog-tiles`).
//!
//! A tile holds up to 256 hashes of one level; the hashes of level L are the roots of complete subtrees over 256^L
//! entries. A tile that is not full yet has its width in its name, so that every file, once written, never changes.

/// How many levels of the tree one tile covers.
pub const HEIGHT: u32 = 8;

/// How many hashes, or entries, a full tile holds.
pub const WIDTH: usize = 256;

/// The path of a tile of hashes; a `width` of [`WIDTH`] or more is a full tile.
pub fn path(level: u8, index: u64, width: usize) -> String {
    format!("tile/{level}/{}", suffix(index, width))
}

/// The path of a bundle of entries; a `width` of [`WIDTH`] or more is a full bundle.
pub fn entries_path(index: u64, width: usize) -> String {
    format!("tile/entries/{}", suffix(index, width))
}

/// How many hashes the tiles of a level hold altogether, in a tree of that size.
pub fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * HEIGHT).unwrap_or(0)
}

/// Groups of three digits, all but the last marked with `x`, so that no directory grows beyond 1000 names.
fn suffix(index: u64, width: usize) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    if width < WIDTH {
        text.push_str(&format!(".p/{width}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(path(0, 1_234_067, WIDTH), "tile/0/x001/x234/067");
        assert_eq!(path(0, 0, WIDTH), "tile/0/000");
        assert_eq!(path(1, 999, 1), "tile/1/999.p/1");
        assert_eq!(path(2, 1000, 255), "tile/2/x001/000.p/255");
        assert_eq!(path(63, u64::MAX, WIDTH), "tile/63/x018/x446/x744/x073/x709/x551/615");
        assert_eq!(entries_path(1_234_067, WIDTH), "tile/entries/x001/x234/067");
        assert_eq!(entries_path(273, 112), "tile/entries/273.p/112");
    }

    /// The example of C2SP `tlog-tiles`: a tree of 70,000 entries.
    #[test]
    fn a_tree_of_70_000_entries_has_the_tiles_of_the_example() {
        let tiles = |level| {
            let hashes = hashes_at(level, 70_000);
            (hashes / WIDTH as u64, hashes % WIDTH as u64)
        };
        assert_eq!([tiles(0), tiles(1), tiles(2), tiles(3)], [(273, 112), (1, 17), (0, 1), (0, 0)]);
        assert_eq!(hashes_at(8, u64::MAX), 0);
        assert_eq!(hashes_at(u8::MAX, u64::MAX), 0);
    }
}

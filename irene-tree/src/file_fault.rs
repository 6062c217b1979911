use std::{fs::File, io::Read, path::Path};

/// Bytes that are enough to tell what a file is.
const HEAD: u64 = 1024;

/// First bytes of formats that are often given in place of another.
const FORMATS: [(&[u8], &str); 9] = [
    (b"PK\x03", "a ZIP archive, as PyTorch's checkpoints are"),
    (b"\x80\x02", "a Python pickle, as older checkpoints of PyTorch's are"),
    (b"GGUF", "a GGUF file"),
    (b"\x89HDF", "an HDF5 file, as TensorFlow's checkpoints are"),
    (b"\x1f\x8b", "compressed by gzip: unpack it (gunzip)"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it (unzstd)"),
    (b"SQLite", "an SQLite database"),
    (b"\xff\xfe", "text in UTF-16: save it in UTF-8"),
    (b"\xfe\xff", "text in UTF-16: save it in UTF-8"),
];

/// Why the file at this path is not what its name says, and the way out: a link to nothing, a folder that may not be entered, an empty
/// file, a pointer of Git LFS, a web page, half of a safetensors file, another format. None if nothing of this kind is wrong.
///
/// Readers ask after they failed, so that a good file is read once.
///
/// ```
/// let path = std::env::temp_dir().join("irene-tree-pointer");
/// std::fs::write(&path, "version https://git-lfs.github.com/spec/v1\noid sha256:8ce2\nsize 880\n")?;
/// let fault = irene_tree::file_fault(&path);
/// assert!(fault.is_some_and(|fault| fault.starts_with("is a Git LFS pointer")));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn file_fault(path: &Path) -> Option<String> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Some("is behind a folder that you may not enter: permission denied".into());
        }
        Err(_) => return broken_link(path),
    };
    if !metadata.is_file() {
        return None;
    }
    let mut head = Vec::new();
    File::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    if head.is_empty() {
        return Some("is empty: nothing was written to it, or a download broke off".into());
    }
    pointer(&head).or_else(|| page(&head)).or_else(|| cut_short(path, &head, metadata.len())).or_else(|| {
        let (_, format) = FORMATS.iter().find(|(magic, _)| head.starts_with(magic))?;
        Some(format!("is {format}"))
    })
}

/// A text file, or the reason why it is none, by [`file_fault`] where that knows one.
///
/// # Errors
/// The system's error; one of its kinds for a file that another thing stands in place of.
pub fn read_text(path: &Path) -> std::io::Result<String> {
    let read = std::fs::read_to_string(path);
    let is_fault = |text: &String| pointer(text.as_bytes()).or_else(|| page(text.as_bytes())).is_some();
    if read.as_ref().is_ok_and(|text| !is_fault(text)) {
        return read;
    }
    match (file_fault(path), read) {
        (Some(fault), Err(error)) => Err(std::io::Error::new(error.kind(), fault)),
        (Some(fault), Ok(_)) => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, fault)),
        (None, read) => read,
    }
}

fn broken_link(path: &Path) -> Option<String> {
    let target = path.read_link().ok()?;
    Some(format!("is a link to {}, which is not there: download the file again", target.display()))
}

/// Hugging Face's repositories are Git LFS or Xet repositories; a clone without either has pointers in place of large files.
fn pointer(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let kind = match () {
        () if text.starts_with("version https://git-lfs") => "Git LFS",
        () if text.starts_with("# xet version") => "Git Xet",
        () => return None,
    };
    let size = text.lines().find_map(|line| line.strip_prefix("size "));
    let bytes = size.map(|size| format!(" of {size} bytes")).unwrap_or_default();
    Some(format!("is a {kind} pointer in place of the file{bytes}: `git lfs pull` in its folder brings it"))
}

fn page(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head).trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let is_page = ["<!doctype html", "<html", "<?xml", "<error"].iter().any(|start| text.starts_with(start));
    is_page.then(|| "is a web page or an error that a server sent in place of the file: download it again".into())
}

/// A safetensors file that ends before its header or its last tensor does.
fn cut_short(path: &Path, head: &[u8], len: u64) -> Option<String> {
    const LARGEST_HEADER: u64 = 100_000_000;
    const LEN: u64 = 8;
    let (start, rest) = head.split_first_chunk()?;
    let header = u64::from_le_bytes(*start);
    if header > LARGEST_HEADER || rest.first().is_some_and(|first| *first != b'{') {
        return None;
    }
    let whole = if LEN + header > len { LEN + header } else { LEN + header + end_of_tensors(path, header)? };
    (len < whole).then(|| {
        let least = if LEN + header > len { "at least " } else { "" };
        format!("ends after {len} of {least}{whole} bytes, as after a download that broke off: download it again")
    })
}

/// The end of the last tensor that a safetensors header of this length names, from the header's end on.
fn end_of_tensors(path: &Path, header: u64) -> Option<u64> {
    let mut json = Vec::new();
    let mut file = File::open(path).ok()?;
    file.read_exact(&mut [0; 8]).ok()?;
    file.take(header).read_to_end(&mut json).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&json).ok()?;
    header.as_object()?.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(name: &str, bytes: &[u8]) -> Option<String> {
        let path = std::env::temp_dir().join(format!("irene-tree-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let fault = file_fault(&path);
        std::fs::remove_file(&path).unwrap();
        fault
    }

    #[test]
    fn what_stands_in_place_of_a_file_is_named_with_the_way_out() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:8ce2\nsize 880\n";
        let expected = "is a Git LFS pointer in place of the file of 880 bytes: `git lfs pull` in its folder brings it";
        assert_eq!(fault_of("lfs", pointer).unwrap(), expected);
        assert!(fault_of("xet", b"# xet version 0\n").unwrap().contains("Git Xet pointer"));
        assert!(fault_of("empty", b"").unwrap().starts_with("is empty"));
        for page in ["\n <!DOCTYPE html><html>", "<html lang=en>", "<?xml version=\"1.0\"?><Error>"] {
            assert!(fault_of("page", page.as_bytes()).unwrap().starts_with("is a web page or an error"));
        }
        assert_eq!(fault_of("zip", b"PK\x03\x04").unwrap(), "is a ZIP archive, as PyTorch's checkpoints are");
        assert_eq!(fault_of("gguf", b"GGUF\x03\0\0\0").unwrap(), "is a GGUF file");
        assert_eq!(fault_of("json", br#"{"model_type": "bert"}"#), None);
        assert_eq!(file_fault(Path::new("/nowhere/at/all")), None);
        assert_eq!(read_text(Path::new("/nowhere/at/all")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
        assert_eq!(file_fault(&std::env::temp_dir()), None);
    }

    #[test]
    fn wherever_a_safetensors_file_is_cut_its_fault_says_how_many_bytes_there_should_be() {
        let header = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let whole = [&(header.len() as u64).to_le_bytes(), &header[..], &[0; 8]].concat();
        assert_eq!(fault_of("whole", &whole), None);
        let header = whole.len() - 8;
        for len in 8..whole.len() {
            let least = if len < header { format!("at least {header}") } else { whole.len().to_string() };
            let fault = fault_of("cut", &whole[..len]).unwrap();
            assert!(fault.starts_with(&format!("ends after {len} of {least} bytes")), "{fault}");
        }
        // Fewer bytes than a header's length, and a file that names no tensor, tell nothing.
        assert_eq!(fault_of("start", &whole[..7]), None);
        assert_eq!(fault_of("none", &[&2u64.to_le_bytes()[..], b"{}"].concat()), None);
    }

    /// A number that is too large for a header, or no brace after it, is another format's beginning.
    #[test]
    fn a_header_has_a_hundred_million_bytes_at_most() {
        let of = |len: u64, rest: &[u8]| fault_of("long", &[&len.to_le_bytes()[..], rest].concat());
        assert!(of(100_000_000, b"{").unwrap().contains("9 of at least 100000008 bytes"));
        assert_eq!(of(100_000_001, b"{"), None);
        assert_eq!(of(100, b"["), None);
    }

    #[test]
    fn a_text_is_read_and_what_stands_in_its_place_is_not() {
        let path = std::env::temp_dir().join(format!("irene-tree-text-{}", std::process::id()));
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_text(&path).map_err(|error| error.to_string())
        };
        assert_eq!(read(b"l: 2\n").unwrap(), "l: 2\n");
        assert_eq!(read(b"").unwrap(), "");
        assert!(read(b"version https://git-lfs.github.com/spec/v1\n").unwrap_err().starts_with("is a Git LFS pointer"));
        assert!(read(b"<html>").unwrap_err().starts_with("is a web page"));
        assert_eq!(read(b"\x1f\x8b\xff").unwrap_err(), "is compressed by gzip: unpack it (gunzip)");
        assert_eq!(read(b"\xff\xfel\0").unwrap_err(), "is text in UTF-16: save it in UTF-8");
        std::fs::remove_file(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_is_named_with_its_target() {
        let link = std::env::temp_dir().join(format!("irene-tree-link-{}", std::process::id()));
        std::os::unix::fs::symlink("../blobs/abc", &link).unwrap();
        let fault = file_fault(&link).unwrap();
        std::fs::remove_file(&link).unwrap();
        assert_eq!(fault, "is a link to ../blobs/abc, which is not there: download the file again");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_may_not_be_entered_is_told_from_one_without_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("irene-tree-locked-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o000)).unwrap();
        // Root may enter all.
        let may_enter = std::fs::read_dir(&folder).is_ok();
        let fault = file_fault(&folder.join("config.json"));
        std::fs::remove_dir(&folder).unwrap();
        let expected = "is behind a folder that you may not enter: permission denied";
        assert_eq!(fault.as_deref(), (!may_enter).then_some(expected));
    }
}

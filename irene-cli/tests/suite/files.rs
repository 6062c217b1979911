//! Files that are written: whole or not at all, and where.

use crate::command::{Folder, Says, refused, training_data};

#[test]
fn a_file_that_cannot_be_written_is_refused_before_the_work() {
    for command in [
        ["train", "no-such.jsonl", "--method", "specs"],
        ["calibrate", "no-such.jsonl", "--device", "gtx-1080-ti"],
        ["explore", "fit", "no-such.jsonl", "--space=small"],
    ] {
        let to = |path: &str| refused(2, &[&command[..], &["-o", path]].concat());
        assert!(to("/nowhere/x").contains("'/nowhere/x' for '--output"), "{}", to("/nowhere/x"));
        to("/nowhere/x").says("there is no folder /nowhere");
        to("/").says("it is a directory");
        to("-").says("this goes to a file, not to stdout");
        to("x.parquet").says("not written as Parquet");
        #[cfg(target_os = "linux")]
        assert!(to("/proc/x").contains("no file can be written in /proc"), "{}", to("/proc/x"));
    }
}

#[test]
fn a_failure_leaves_no_file_and_an_older_one_as_it_was() {
    let folder = Folder::new("half");
    let data = training_data(&folder);
    let lines = std::fs::read_to_string(&data).unwrap();
    // The second line is cut: the first was predicted by then.
    let cut = folder.write("cut.jsonl", &lines[..lines.find('\n').unwrap() + 2000]);
    let output = folder.write("out.jsonl", "precious\n");
    let before = folder.files();
    refused(1, &["predict", &cut, "-o", &output]).says("cut.jsonl, line 2, column 1999, field `");
    refused(1, &["train", &cut, "--method", "specs", "-o", &output]).says("cut.jsonl, line 2");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "precious\n");
    assert_eq!(folder.files(), before);
}

#[cfg(unix)]
#[test]
fn links_devices_and_permissions_are_respected() {
    use crate::command::good;
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new("links");
    let target = folder.write("target.txt", "old");
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path("link.txt");
    symlink(&target, &link).unwrap();
    good(&["predict", "gpt2", "-b", "1", "-s", "8", "-o", &link]);
    assert!(std::fs::read_to_string(&target).unwrap().starts_with("gpt2, batch 1"));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    let early = folder.path("early.txt");
    symlink("later.txt", &early).unwrap();
    good(&["predict", "gpt2", "-b", "1", "-s", "8", "-o", &early]);
    assert!(folder.0.join("later.txt").is_file() && std::fs::symlink_metadata(&early).unwrap().is_symlink());
    good(&["predict", "gpt2", "-b", "1", "-s", "8", "-o", "/dev/null"]);
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
}

//! Goldens of the faults of the rules files in `tests/data/broken-rules`. Each file is named after its fault, and the
//! expected error text is next to it.

use smartclean_push::notify::read_rules;

use super::compare;

#[test]
fn a_broken_rules_file_is_refused_with_every_fault_at_its_line_and_column() {
    let folder = crate::support::repository().join("tests/data/broken-rules");
    let mut faults_of_files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let faults = read_rules("rules.toml", text.as_bytes()).expect_err(&text);
        let name = path.file_stem().unwrap().to_string_lossy();
        let errors: String = faults.iter().map(|fault| format!("{fault}\n")).collect();
        faults_of_files.push((format!("data/broken-rules/{name}.txt"), errors));
    }
    assert!(faults_of_files.len() >= 35, "only {} files were found", faults_of_files.len());
    compare(faults_of_files);
}

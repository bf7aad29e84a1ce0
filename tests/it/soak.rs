//! A short soak test: `make soak` with an hour of 1,000 devices instead of a day of 10,000 devices.

use std::process::Command;

#[test]
fn an_hour_of_a_thousand_devices_stays_within_the_limits_of_the_soak_test() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut soak = Command::new(crate::support::repository().join("benches/soak"));
    soak.args(["1000", "1"])
        .env("SOAK_COMMAND", env!("CARGO_BIN_EXE_smartclean-push"))
        .env("SOAK_FOLDER", folder.path());
    let output = soak.output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains("Verified: everything that was acknowledged is stored"), "{report}");
    assert!(report.contains("\nreplayed in "), "{report}");
}

//! The soak in short: what `make soak` does with a day of 10,000 devices, with an hour of 1,000 devices.

use std::process::Command;

#[test]
fn an_hour_of_a_thousand_devices_stays_within_the_bounds_of_the_soak() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut soak = Command::new(crate::support::repository().join("benches/soak"));
    soak.args(["1000", "1"])
        .env("SOAK_COMMAND", env!("CARGO_BIN_EXE_smartclean-push"))
        .env("SOAK_FOLDER", folder.path());
    let output = soak.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("Verified: everything that was acknowledged is stored"), "{told}");
    assert!(told.contains("\nreplayed in "), "{told}");
}

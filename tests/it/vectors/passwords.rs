//! Password hashes: the Argon2id vectors of the reference implementation (phc-winner-argon2, `test.c`, version 0x13),
//! and the one scrypt vector of RFC 7914, section 12, whose salt is long enough for a PHC string and whose cost is
//! within the limits.

use http::Request;
use http_body_util::Full;
use smartclean_push::auth::Credentials;

use crate::support::{TestApp, basic};

/// Passwords and their hashes.
const VECTORS: [(&str, &str); 8] = [
    ("password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
    ("password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"),
    ("password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"),
    ("password", "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg"),
    ("password", "$argon2id$v=19$m=65536,t=4,p=1$c29tZXNhbHQ$kCXUjmjvc5XMqQedpMTsOv+zyJEf5PhtGiUghW9jFyw"),
    ("differentpassword", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94"),
    ("password", "$argon2id$v=19$m=65536,t=2,p=1$ZGlmZnNhbHQ$vfMrBczELrFdWP0ZsfhWsRPaHppYdP3MVEMIVlqoFBw"),
    (
        "pleaseletmein",
        "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw",
    ),
];

fn credentials(hash: &str) -> String {
    format!(r#"{{"username":"client","password":"{hash}"}}"#)
}

#[tokio::test]
async fn published_hashes_match_their_password_and_no_other() {
    for (password, hash) in VECTORS {
        let app = TestApp::with_credentials(&credentials(hash), "basic".parse().unwrap());
        let status = async |password: &str| {
            let request = Request::post("/push").header("authorization", basic("client", password));
            app.send(request.body(Full::new("[]".into())).unwrap()).await.status
        };
        assert_eq!(status(password).await, 200, "{hash}");
        assert_eq!(status(&password.to_uppercase()).await, 401, "{hash}");
    }
}

#[test]
fn the_reference_vector_of_256_mib_is_refused_when_the_credentials_are_read() {
    let hash = "$argon2id$v=19$m=262144,t=2,p=1$c29tZXNhbHQ$eP4eyR+zqlZX1y5xCFTkw9m5GYx0L5YWwvCFvtlbLow";
    let fault = Credentials::parse(&credentials(hash)).unwrap_err();
    assert!(fault.to_string().contains("costs too much"), "{fault}");
}

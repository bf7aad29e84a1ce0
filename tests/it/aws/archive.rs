//! A bucket as an archive, against the S3 of an end-to-end test.

use futures_util::{StreamExt as _, stream};
use history::lake::LakeStore as _;
use history::{Archive as _, Period, hours};
use smartclean_push::adapters::aws::archive::S3Archive;
use smartclean_push::adapters::aws::https::Trust;
use smartclean_push::adapters::aws::{self, s3};
use smartclean_push::domain::archive::{Metadata, Object, ObjectKey};
use smartclean_push::ingest::ports::{RawStore as _, Stored};

/// More than one page of a listing.
const MANY: usize = 1_005;

fn object(key: &str) -> Object {
    let metadata = Metadata {
        received: "2026-11-23T10:00:00Z".parse().unwrap(),
        request_id: "request-1".into(),
        source: "203.0.113.7".into(),
        lines: 1,
    };
    Object { key: ObjectKey::known(key), bytes: key.as_bytes().to_vec(), metadata }
}

#[test]
#[ignore = "an end-to-end test runs it against a local S3"]
fn bucket_contract() {
    let bucket = std::env::var("ARCHIVE_TEST_BUCKET").unwrap();
    let many: Vec<String> = (0..MANY).map(|index| format!("raw/dt=2026-11-23/hh=09/{index:04}.ndjson.zst")).collect();
    let rejected = "rejected/dt=2026-11-23/hh=10/0000.ndjson.zst".to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = aws_sdk_s3::Client::new(&aws::config(Trust::Machine).await.unwrap());
        let store = s3::S3RawStore { client: client.clone(), bucket: bucket.clone() };
        let puts = many.iter().chain([&rejected]).map(|key| store.put(object(key)));
        // `New`, or `Already` if a response was slow and the client retried.
        let puts = stream::iter(puts).buffer_unordered(16);
        puts.for_each(async |stored| assert_ne!(stored.unwrap(), Stored::Queued)).await;
        // A file of another program, which must not be listed.
        let note = client.put_object().bucket(&bucket).key("raw/dt=2026-11-23/hh=09/notes.txt");
        note.send().await.unwrap();
    });

    let archive = S3Archive::open(&format!("s3://{bucket}")).unwrap();
    assert_eq!(archive.folders("").unwrap(), ["raw/", "rejected/"]);
    assert_eq!(archive.folders("raw/").unwrap(), ["raw/dt=2026-11-23/"]);
    assert_eq!(archive.folders("raw/dt=2026-11-24/").unwrap(), [""; 0]);
    let [hour] = hours(&archive, "raw/", &Period::default()).unwrap().try_into().unwrap();
    let keys = archive.keys(&hour.folder).unwrap();
    assert_eq!(keys.iter().map(ObjectKey::as_str).collect::<Vec<_>>(), many);
    let read = archive.read(&keys).unwrap();
    assert!(read.iter().zip(&many).all(|(object, key)| object.key.as_str() == key && object.bytes == key.as_bytes()));
    assert!(read.iter().all(|object| object.received == Some("2026-11-23T10:00:00Z".parse().unwrap())));
    assert!(archive.read(&[ObjectKey::known("raw/gone")]).unwrap_err().to_string().contains("NoSuchKey"));

    let lake = "lake/readings/dt=2026-11-23/";
    let [part, marker] = ["09-x-00.parquet", "_09-x"].map(|name| format!("{lake}{name}"));
    for bytes in [b"first", b"other"] {
        archive.put(&part, bytes.to_vec()).unwrap();
    }
    archive.put(&marker, Vec::new()).unwrap();
    assert_eq!(archive.files(lake).unwrap(), [part.clone(), marker.clone()]);
    assert_eq!(archive.read(&[ObjectKey::known(&part)]).unwrap()[0].bytes, b"other", "in place of the first");
    archive.remove(&[marker, "lake/gone".to_owned()]).unwrap();
    assert_eq!(archive.files(lake).unwrap(), std::slice::from_ref(&part));
    archive.remove(&[part]).unwrap();

    let below = S3Archive::open(&format!("s3://{bucket}/raw")).unwrap_err();
    assert!(below.to_string().contains("there is no `raw/` in it"), "{below}");
    let nowhere = S3Archive::open("s3://no-such-bucket").unwrap_err();
    let nowhere = nowhere.to_string();
    assert!(nowhere.contains("NoSuchBucket") && nowhere.contains("AWS_REGION"), "{nowhere}");
}

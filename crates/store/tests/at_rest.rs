//! What the disk tells: neither names nor values nor ids, in any file.

mod support;

use std::sync::Arc;

use support::{Counting, Standing, files, run};
use vouchsafe_domain::ports::store::{Expect, Key, Kind, Partition};
use vouchsafe_store::deployment::{EngineKind, initialise, open};
use vouchsafe_store::root::RootKeySource;
use vouchsafe_testkit::suites::store::{commit, tenant, value, vault};

fn encodings(canary: &[u8]) -> Vec<Vec<u8>> {
    let mut found = vec![
        canary.to_vec(),
        data_encoding::HEXLOWER.encode(canary).into_bytes(),
        data_encoding::HEXUPPER.encode(canary).into_bytes(),
    ];
    // Base64 shifts with what stands before: the part that does not depend on neighbours, at each of three shifts.
    for shift in 0..3 {
        let shifted = [&vec![0; shift][..], canary].concat();
        for encoding in [data_encoding::BASE64, data_encoding::BASE64URL] {
            let text = encoding.encode(&shifted).into_bytes();
            found.push(text[4..text.len() - 4].to_vec());
        }
    }
    found
}

#[test]
fn neither_names_nor_values_nor_ids_are_in_any_file() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let source = RootKeySource::KeyFile(data.join("root.key"));
    initialise(&data, &source, EngineKind::Sqlite, &Counting::default()).unwrap();
    let (t, v) =
        (0x1111_2222_3333_4444_5555_6666_7777_8888_u128, 0x9999_aaaa_bbbb_cccc_dddd_eeee_ffff_0123_u128);
    let names = [
        "canary-name-of-a-vault",
        "canary-name-of-a-secret",
        "canary-name-of-a-version",
        "canary-name-of-a-tenant",
    ];
    let values = ["canary-value-one-1f3870be", "canary-value-two-274f6d1b"];
    let search = |context: &str| {
        let mut canaries: Vec<Vec<u8>> =
            names.iter().chain(&values).flat_map(|text| encodings(text.as_bytes())).collect();
        canaries.extend([t, v].iter().flat_map(|id| encodings(&id.to_be_bytes())));
        let mut bytes_searched = 0;
        for path in files(&data) {
            let bytes = std::fs::read(&path).unwrap();
            bytes_searched += bytes.len();
            for canary in &canaries {
                let hit = bytes.windows(canary.len()).position(|window| window == canary.as_slice());
                assert_eq!(
                    hit,
                    None,
                    "{context}: {:?} in {}",
                    String::from_utf8_lossy(canary),
                    path.display()
                );
            }
        }
        println!("{context}: {} canaries, {bytes_searched} bytes searched", canaries.len());
    };
    run(async {
        let deployment = open(&data, &source, Arc::new(Standing::default())).await.unwrap();
        let store = &deployment.store;
        let keys = [
            Key::new(Partition::Deployment, Kind::Tenant, names[3]),
            Key::new(tenant(t), Kind::Vault, names[0]),
            Key::nested(vault(t, v), Kind::SecretVersion, names[1], names[2]),
            Key::nested(vault(t, v), Kind::SecretValue, names[1], names[2]),
        ];
        let mut revisions = Vec::new();
        for key in &keys {
            revisions.extend(
                store.commit(commit().put(key.clone(), Expect::Absent, value(values[0]))).await.unwrap(),
            );
        }
        store
            .commit(commit().put(keys[0].clone(), Expect::At(revisions[0]), value(values[1])))
            .await
            .unwrap();
        store.commit(commit().delete(keys[3].clone(), revisions[3])).await.unwrap();
        search("while it runs, write-ahead log included");
    });
    search("closed");
}

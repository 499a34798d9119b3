//! The baseline of objects in a store: copies one as it is, with the library that the host uses, the
//! parts as large and as many at once. Credentials and endpoint come from `AWS_*`.

use clap::Parser;
use futures_util::StreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutMultipartOptions, WriteMultipart};
use std::error::Error;
use std::io::Read as _;

/// Copy FROM to the object TO in a bucket
#[derive(Parser)]
struct Flags {
    /// The bucket
    bucket: String,
    /// A key, or with --file, a file of this machine
    from: String,
    /// A key
    to: String,
    /// Whether FROM is a file
    #[arg(long)]
    file: bool,
}

const PART_BYTES: usize = 8 * 1024 * 1024;
const IN_FLIGHT: usize = 4;

async fn copy(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let store = AmazonS3Builder::from_env().with_bucket_name(&flags.bucket);
    let store = store.with_allow_http(true).build()?;
    let to = Path::parse(&flags.to)?;
    let upload = store.put_multipart_opts(&to, PutMultipartOptions::default()).await?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    if flags.file {
        let mut file = std::fs::File::open(&flags.from)?;
        let mut buffer = vec![0; 1024 * 1024];
        loop {
            let len = file.read(&mut buffer)?;
            if len == 0 {
                break;
            }
            upload.wait_for_capacity(IN_FLIGHT).await?;
            upload.write(&buffer[..len]);
        }
    } else {
        let mut pieces = store.get(&Path::parse(&flags.from)?).await?.into_stream();
        while let Some(piece) = pieces.next().await {
            upload.wait_for_capacity(IN_FLIGHT).await?;
            upload.put(piece?);
        }
    }
    upload.finish().await?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build()?.block_on(copy(&flags))
}

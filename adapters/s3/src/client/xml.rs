//! The answers' documents.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Reads a document.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    quick_xml::de::from_str(text).map_err(|error| error.to_string())
}

/// `<Error>`: why a request was refused.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ErrorDocument {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) region: Option<String>,
}

/// `<ListBucketResult>`: a page of a listing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListPage {
    #[serde(default)]
    pub(crate) is_truncated: bool,
    #[serde(default)]
    pub(crate) next_continuation_token: Option<String>,
    #[serde(default)]
    pub(crate) contents: Vec<ListedObject>,
}

/// An object of a listing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedObject {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) last_modified: String,
    #[serde(default, rename = "ETag")]
    pub(crate) etag: String,
}

/// `<ListVersionsResult>`: a page of versions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VersionPage {
    #[serde(default, rename = "DeleteMarker")]
    pub(crate) delete_markers: Vec<ListedMarker>,
}

/// A mark that an object was deleted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedMarker {
    pub(crate) key: String,
    pub(crate) version_id: String,
    #[serde(default)]
    pub(crate) is_latest: bool,
}

/// `<InitiateMultipartUploadResult>`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UploadBegun {
    pub(crate) upload_id: String,
}

/// `<CompleteMultipartUploadResult>`, `<CopyObjectResult>`, `<CopyPartResult>`: all have an etag. An `<Error>` may come
/// with status 200 too.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Written {
    #[serde(rename = "ETag")]
    pub(crate) etag: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
}

/// `<ListMultipartUploadsResult>`: uploads that were begun.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Uploads {
    #[serde(default, rename = "Upload")]
    pub(crate) uploads: Vec<UploadListed>,
}

/// An upload that was begun and neither completed nor aborted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UploadListed {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) initiated: String,
}

/// `<VersioningConfiguration>`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Versioning {
    pub(crate) status: Option<String>,
}

/// Text in a document that we write.
pub(crate) fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let page: ListPage = read(
            b"<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
              <IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><Contents><Key>a&amp;b</Key>\
              <Size>3</Size><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;x&quot;</ETag></Contents>\
              <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes><Contents><Key>c</Key><Size>0</Size>\
              <LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents></ListBucketResult>",
        )
        .unwrap();
        assert!(page.is_truncated);
        let keys: Vec<&str> = page.contents.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(keys, ["a&b", "c"]);
        assert_eq!(page.contents[0].etag, "\"x\"");
        let empty: ListPage =
            read(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>").unwrap();
        assert!(empty.contents.is_empty());
        let error: ErrorDocument =
            read(b"<Error><Code>SlowDown</Code><Message>less</Message></Error>").unwrap();
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("SlowDown", "less")
        );
        let in_doubt: Written =
            read(b"<Error><Code>InternalError</Code><Message>m</Message></Error>").unwrap();
        assert_eq!(in_doubt.code.as_deref(), Some("InternalError"));
        assert!(read::<ListPage>(b"<html>").is_err());
        assert_eq!(escaped("\"a<b\""), "&quot;a&lt;b&quot;");
    }
}

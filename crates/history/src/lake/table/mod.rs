//! The table's form, and its rows written and read.
//!
//! Columns are compressed with Zstandard. Times are in UTC. Names of columns are those of [`Row`](super::Row)'s members;
//! `metrics` is a map from text to double.

mod read;
mod write;

use parquet::errors::ParquetError;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;

pub(super) use self::read::Table;
pub(super) use self::write::TableWriter;

const FORM: &str = "
message reading {
    required binary reading_id (UTF8);
    required binary batch (UTF8);
    required int32 line;
    optional int64 received (TIMESTAMP(MILLIS,true));
    optional int64 event_time (TIMESTAMP(MILLIS,true));
    optional binary device_id (UTF8);
    optional binary device_type (UTF8);
    optional binary display (UTF8);
    optional binary zone (UTF8);
    optional binary project (UTF8);
    optional binary property (UTF8);
    optional binary region (UTF8);
    required group metrics (MAP) {
        repeated group key_value {
            required binary key (UTF8);
            required double value;
        }
    }
    required binary raw (UTF8);
}";

fn form() -> Result<TypePtr, ParquetError> {
    parse_message_type(FORM).map(TypePtr::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::Row;

    fn rows(count: i32) -> Vec<Row> {
        let text = |line| match line % 4 {
            0 => format!(r#"{{"DevType":"UM","DEVID":"d{line}","unixT":1654063185,"v":{{"count":{line},"b":2.5}}}}"#),
            1 => format!("no reading {line}"),
            2 => r#"{"DevType":"ACME#X","Display":"Toilet 厕所","Region":"Asia/Singapore"}"#.to_owned(),
            _ => "{}".to_owned(),
        };
        (0..count).map(|line| Row::of(&text(line), "b", line, None)).collect()
    }

    fn written(rows: &[Row], most_text: usize) -> Table {
        let mut writer = TableWriter::new(most_text).unwrap();
        rows.iter().for_each(|row| writer.push(row.clone()).unwrap());
        Table::open(writer.finish().unwrap().into()).unwrap()
    }

    #[test]
    fn rows_come_back_as_they_were() {
        for most_text in [1, 300, usize::MAX] {
            let table = written(&rows(50), most_text);
            let read: Vec<Row> = (0..table.groups()).flat_map(|group| table.rows(group).unwrap()).collect();
            assert_eq!(read, rows(50));
            let texts: Vec<String> = (0..table.groups()).flat_map(|group| table.texts(group).unwrap()).collect();
            assert_eq!(texts, rows(50).into_iter().map(|row| row.raw).collect::<Vec<_>>());
        }
    }

    #[test]
    fn text_is_written_some_at_a_time() {
        assert_eq!(written(&rows(50), usize::MAX).groups(), 1);
        assert_eq!(written(&rows(50), 1).groups(), 50);
    }

    #[test]
    fn another_table_is_refused() {
        use parquet::file::properties::WriterProperties;
        use parquet::file::writer::SerializedFileWriter;
        let other = parse_message_type("message reading { required int32 line; }").unwrap();
        let properties = WriterProperties::builder().build();
        let file = SerializedFileWriter::new(Vec::new(), TypePtr::new(other), properties.into()).unwrap();
        assert!(Table::open(file.into_inner().unwrap().into()).is_err());
        assert!(Table::open(b"no table".as_slice().into()).is_err());
    }
}

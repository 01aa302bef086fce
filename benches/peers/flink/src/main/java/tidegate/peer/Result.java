package tidegate.peer;

/** A record of the output topic. Public, with public fields: a POJO to Flink. */
public class Result {
    public byte[] key;
    public byte[] value;
}

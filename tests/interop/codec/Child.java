import java.io.*;
import java.nio.charset.StandardCharsets;

/** codec_check as a child process: a question, an answer. */
final class Child implements AutoCloseable {
    static final class Refused extends Exception {
        Refused(String text) {
            super(text);
        }
    }

    private final Process process;
    private final DataOutputStream out;
    private final DataInputStream in;

    Child(String program) throws IOException {
        process = new ProcessBuilder(program).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        out = new DataOutputStream(new BufferedOutputStream(process.getOutputStream(), 1 << 16));
        in = new DataInputStream(new BufferedInputStream(process.getInputStream(), 1 << 16));
    }

    interface Body {
        void write(DataOutputStream out) throws IOException;
    }

    byte[] ask(char what, Body body) throws IOException, Refused {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream data = new DataOutputStream(bytes);
        data.writeByte(what);
        body.write(data);
        out.writeInt(bytes.size());
        bytes.writeTo(out);
        out.flush();
        byte[] answer = new byte[in.readInt() - 1];
        boolean refused = in.readByte() != 0;
        in.readFully(answer);
        if (refused)
            throw new Refused(new String(answer, StandardCharsets.UTF_8));
        return answer;
    }

    String[] lines(char what) throws IOException, Refused {
        return new String(ask(what, out -> { }), StandardCharsets.UTF_8).split("\n");
    }

    static void writeText(DataOutputStream out, String text) throws IOException {
        if (text == null) {
            out.writeShort(-1);
            return;
        }
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        out.writeShort(bytes.length);
        out.write(bytes);
    }

    /** What begins with its u32 size. */
    static byte[] sized(DataInputStream in) throws IOException {
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return bytes;
    }

    @Override
    public void close() throws IOException {
        out.close();
        process.destroy();
    }
}

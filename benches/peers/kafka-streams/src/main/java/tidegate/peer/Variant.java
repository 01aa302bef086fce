package tidegate.peer;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

/** A store, and what differs from its defaults: `rocks`, `memory-small`, `rocks-uncached-prompt`. `small` concerns the JVM alone. */
record Variant(boolean inMemory, boolean cached, boolean suppress, boolean prompt) {

    static Variant named(String name) {
        String[] words = name.split("-");
        Set<String> options = new HashSet<>(Arrays.asList(words).subList(1, words.length));
        boolean cached = !options.remove("uncached");
        boolean suppress = options.remove("suppress");
        boolean prompt = options.remove("prompt");
        options.remove("small");
        boolean inMemory = words[0].equals("memory");
        if (!options.isEmpty() || !inMemory && !words[0].equals("rocks")) {
            throw new IllegalArgumentException("there is no variant `" + name
                    + "`: it is rocks or memory, with any of -small, -uncached, -suppress and -prompt behind it");
        }
        return new Variant(inMemory, cached, suppress, prompt);
    }
}

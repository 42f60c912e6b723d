package myelin.peer;

import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.ClusterTemplate;
import org.apache.kafka.common.test.api.ClusterTest;
import org.apache.kafka.common.test.api.ClusterTestDefaults;
import org.apache.kafka.common.test.api.ClusterTests;
import org.apache.kafka.common.test.api.Type;

import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** Tests are written to run with a combined node and with a broker beside a controller. Both are one process here, so a
 *  test that may have the first is not run with the second. */
public final class OneKind implements ExecutionCondition {
    static final String REASON = "the same test runs with a combined node";

    @ClusterTestDefaults
    private static final class Defaults {
    }

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        boolean isolated = context.getDisplayName().contains(" Type=Raft-Isolated,");
        if (isolated && context.getTestMethod().isPresent() && combinedEverywhere(context.getRequiredTestClass(), context.getRequiredTestMethod()))
            return ConditionEvaluationResult.disabled(REASON);
        return ConditionEvaluationResult.enabled("");
    }

    private static boolean combinedEverywhere(Class<?> type, Method method) {
        ClusterTestDefaults defaults = type.getDeclaredAnnotation(ClusterTestDefaults.class);
        Type[] usual = (defaults != null ? defaults : Defaults.class.getDeclaredAnnotation(ClusterTestDefaults.class)).types();
        ClusterTest one = method.getDeclaredAnnotation(ClusterTest.class);
        ClusterTests several = method.getDeclaredAnnotation(ClusterTests.class);
        ClusterTemplate template = method.getDeclaredAnnotation(ClusterTemplate.class);
        Stream<ClusterTest> tests = Stream.concat(Stream.ofNullable(one), several == null ? Stream.empty() : Arrays.stream(several.value()));
        return tests.allMatch(test -> Arrays.asList(test.types().length == 0 ? usual : test.types()).contains(Type.CO_KRAFT))
            && (template == null || configs(type, template.value()).allMatch(config -> config.clusterTypes().contains(Type.CO_KRAFT)));
    }

    @SuppressWarnings("unchecked")
    private static Stream<ClusterConfig> configs(Class<?> type, String generator) {
        try {
            Method method = type.getDeclaredMethod(generator);
            method.setAccessible(true);
            return ((List<ClusterConfig>) method.invoke(null)).stream();
        } catch (ReflectiveOperationException | NullPointerException e) {
            return Stream.of(ClusterConfig.defaultBuilder().setTypes(Set.of(Type.KRAFT)).build());
        }
    }
}

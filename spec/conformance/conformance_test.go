package conformance

import (
	"io/fs"
	"testing"
	"time"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/config"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/roundtripper"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// passes are the tests of the suite that have to pass.
var passes = []string{
	"HTTPRouteWeight",
	"HTTPRouteSimpleSameNamespace",
	"HTTPRouteMatching",
	"HTTPRouteMatchingAcrossRoutes",
	"HTTPRouteExactPathMatching",
	"HTTPRoutePathMatchOrder",
	"HTTPRouteHeaderMatching",
	"HTTPRouteMethodMatching",
	"HTTPRouteQueryParamMatching",
	"HTTPRouteRequestHeaderModifier",
	"HTTPRouteRequestHeaderModifierBackendWeights",
	"HTTPRouteResponseHeaderModifier",
	"HTTPRouteRewritePath",
	"HTTPRouteRewriteHost",
	"HTTPRouteInvalidNonExistentBackendRef",
	"HTTPRouteInvalidBackendRefUnknownKind",
	"HTTPRouteInvalidCrossNamespaceBackendRef",
	"HTTPRouteReferenceGrant",
	"HTTPRouteCrossNamespace",
	"HTTPRouteInvalidReferenceGrant",
	"HTTPRoutePartiallyInvalidViaInvalidReferenceGrant",
	"HTTPRouteRedirectHostAndStatus",
	"HTTPRouteRedirectScheme",
	"HTTPRouteRedirectPath",
	"HTTPRouteRedirectPort",
	"HTTPRouteRedirectPortAndScheme",
	"HTTPRoute303Redirect",
	"HTTPRoute307Redirect",
	"HTTPRoute308Redirect",
	"HTTPRouteHostnameIntersection",
	"HTTPRouteListenerHostnameMatching",
	"HTTPRouteHTTPSListener",
	"HTTPRouteBackendProtocolWebSocket",
	"HTTPRouteNamedRule",
	"HTTPRouteRequestMirror",
	"HTTPRouteRequestMultipleMirrors",
	"HTTPRouteRequestPercentageMirror",
	"HTTPRouteBackendRequestHeaderModifier",
	"HTTPRouteNoBackendRefs",
	"HTTPRouteTimeoutRequest",
	"HTTPRouteTimeoutBackendRequest",
	"GRPCRouteWeight",
	"GRPCRouteNamedRule",
}

// patience is how long the suite waits for what does not come.
const patience = 10 * time.Second

func TestConformance(t *testing.T) {
	c := newCluster(t)
	timeouts := config.DefaultTimeoutConfig()
	// Statuses are there with the change that they answer.
	timeouts.RouteMustHaveParents, timeouts.HTTPRouteMustHaveCondition = patience, patience
	timeouts.GatewayMustHaveAddress, timeouts.GatewayListenersMustHaveConditions = patience, patience
	timeouts.MaxTimeToConsistency = patience
	s := &suite.ConformanceTestSuite{
		Client: c, Clientset: c.clientset(), RoundTripper: &roundtripper.DefaultRoundTripper{TimeoutConfig: timeouts, CustomDialContext: c.dial}, GRPCClient: grpcClient{c}, WebSocketDialer: webSockets{c},
		GatewayClassName: "kong", ControllerName: controllerName, TimeoutConfig: timeouts,
		CleanupTestResources: true, BaseManifests: "base/manifests.yaml", DisableParallelTests: true,
		ManifestFS: []fs.FS{&conformance.Manifests},
		Applier:    kubernetes.Applier{GatewayClass: "kong", ControllerName: controllerName, ManifestFS: []fs.FS{&conformance.Manifests}},
	}
	s.Applier.MustApplyWithCleanup(t, c, timeouts, s.BaseManifests, false)
	c.createCertificate()
	for _, service := range []string{suite.InfraBackendServiceNameV1, suite.InfraBackendServiceNameV2, suite.InfraBackendServiceNameV3} {
		if err := c.createPod(suite.InfrastructureNamespace, service); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range passes {
		t.Run(name, func(t *testing.T) {
			for i := range tests.ConformanceTests {
				if test := &tests.ConformanceTests[i]; test.ShortName == name {
					s.RunTest = name // whatever features it says it needs
					test.Run(t, s)
					return
				}
			}
			t.Error("the suite has no such test")
		})
	}
}

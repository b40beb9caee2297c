// Code generated from plugin/config/table*.go by go generate. DO NOT EDIT.

package main

// Plugin is one plugin row of Kong for one of its workers. Its exported fields
// are never filled: go-pluginserver makes the schema for Kong of their types and
// tags, and UnmarshalJSON hands the config as it is to the table in plugin/config.
// Kong 2.x therefore checks keys and types; defaults and the rest are the table's.
type Plugin struct {
	Backends []struct {
		Name     string `json:"name"`
		Service  bool   `json:"service"`
		Upstream string `json:"upstream"`
		Host     string `json:"host"`
		Port     int    `json:"port"`
		Redirect struct {
			Scheme        string `json:"scheme"`
			Hostname      string `json:"hostname"`
			Port          int    `json:"port"`
			Path          string `json:"path"`
			ReplacePrefix string `json:"replace_prefix"`
			Status        int    `json:"status"`
		} `json:"redirect"`
		Weight        int    `json:"weight"`
		Protocol      string `json:"protocol"`
		Path          string `json:"path"`
		ReplacePrefix string `json:"replace_prefix"`
		ReplacePath   string `json:"replace_path"`
		HostHeader    string `json:"host_header"`
		Timeouts      struct {
			Connect float64 `json:"connect"`
			Write   float64 `json:"write"`
			Read    float64 `json:"read"`
		} `json:"timeouts"`
		Retries        int `json:"retries"`
		RequestHeaders struct {
			Set    map[string]string `json:"set"`
			Add    map[string]string `json:"add"`
			Remove []string          `json:"remove"`
		} `json:"request_headers"`
		ResponseHeaders struct {
			Set    map[string]string `json:"set"`
			Add    map[string]string `json:"add"`
			Remove []string          `json:"remove"`
		} `json:"response_headers"`
		Health struct {
			Active struct {
				Path      string  `json:"path"`
				Interval  float64 `json:"interval"`
				Timeout   float64 `json:"timeout"`
				Healthy   int     `json:"healthy"`
				Unhealthy int     `json:"unhealthy"`
			} `json:"active"`
			Passive struct {
				Failures int     `json:"failures"`
				Ejection float64 `json:"ejection"`
			} `json:"passive"`
		} `json:"health"`
		SlowStart float64 `json:"slow_start"`
	} `json:"backends"`
	Algorithm              string `json:"algorithm"`
	HashOn                 string `json:"hash_on"`
	HashOnHeader           string `json:"hash_on_header"`
	HashOnCookie           string `json:"hash_on_cookie"`
	HashOnQueryArg         string `json:"hash_on_query_arg"`
	HashOnUriCapture       string `json:"hash_on_uri_capture"`
	HashFallback           string `json:"hash_fallback"`
	HashFallbackHeader     string `json:"hash_fallback_header"`
	HashFallbackCookie     string `json:"hash_fallback_cookie"`
	HashFallbackQueryArg   string `json:"hash_fallback_query_arg"`
	HashFallbackUriCapture string `json:"hash_fallback_uri_capture"`
	Session                struct {
		Cookie         string `json:"cookie"`
		MaxAge         int    `json:"max_age"`
		Renew          bool   `json:"renew"`
		Path           string `json:"path"`
		Domain         string `json:"domain"`
		Secure         string `json:"secure"`
		HttpOnly       bool   `json:"http_only"`
		SameSite       string `json:"same_site"`
		Partitioned    bool   `json:"partitioned"`
		Secret         string `json:"secret"`
		PreviousSecret string `json:"previous_secret"`
		Generation     int    `json:"generation"`
	} `json:"session"`
	Rules []struct {
		Match struct {
			Headers    map[string][]string `json:"headers"`
			Cookies    map[string][]string `json:"cookies"`
			QueryArgs  map[string][]string `json:"query_args"`
			Methods    []string            `json:"methods"`
			PathPrefix string              `json:"path_prefix"`
			Consumers  []string            `json:"consumers"`
			ClientIps  []string            `json:"client_ips"`
			Not        struct {
				Headers    map[string][]string `json:"headers"`
				Cookies    map[string][]string `json:"cookies"`
				QueryArgs  map[string][]string `json:"query_args"`
				Methods    []string            `json:"methods"`
				PathPrefix string              `json:"path_prefix"`
				Consumers  []string            `json:"consumers"`
				ClientIps  []string            `json:"client_ips"`
			} `json:"not"`
		} `json:"match"`
		Backend string         `json:"backend"`
		Weights map[string]int `json:"weights"`
	} `json:"rules"`
	ForceHeader string `json:"force_header"`
	Ramp        struct {
		Backend  string  `json:"backend"`
		From     float64 `json:"from"`
		To       float64 `json:"to"`
		Start    string  `json:"start"`
		Duration float64 `json:"duration"`
		Steps    int     `json:"steps"`
		Plan     []struct {
			Share float64 `json:"share"`
			For   float64 `json:"for"`
		} `json:"plan"`
		Hold  float64 `json:"hold"`
		Guard struct {
			RollbackTo     float64 `json:"rollback_to"`
			MaxErrorRatio  float64 `json:"max_error_ratio"`
			MaxErrorExcess float64 `json:"max_error_excess"`
			MaxLatency     float64 `json:"max_latency"`
			Quantile       float64 `json:"quantile"`
			MinRequests    int     `json:"min_requests"`
			Window         float64 `json:"window"`
			Wait           bool    `json:"wait"`
		} `json:"guard"`
	} `json:"ramp"`
	OnUnavailable string  `json:"on_unavailable"`
	Fallback      string  `json:"fallback"`
	MaxEjected    float64 `json:"max_ejected"`
	Retry         struct {
		Max     int    `json:"max"`
		Backend string `json:"backend"`
	} `json:"retry"`
	Mirror []struct {
		Backend    string   `json:"backend"`
		Host       string   `json:"host"`
		Port       int      `json:"port"`
		Protocol   string   `json:"protocol"`
		HostHeader string   `json:"host_header"`
		Sources    []string `json:"sources"`
		Percent    float64  `json:"percent"`
		Fraction   struct {
			Numerator   int `json:"numerator"`
			Denominator int `json:"denominator"`
		} `json:"fraction"`
		RequestHeaders struct {
			Set    map[string]string `json:"set"`
			Add    map[string]string `json:"add"`
			Remove []string          `json:"remove"`
		} `json:"request_headers"`
		MaxBody int `json:"max_body"`
	} `json:"mirror"`
	ResponseHeader string `json:"response_header"`
	LogDecision    bool   `json:"log_decision"`
	Split          string `json:"split"`

	instance *instance // as a pointer it is no part of the schema
}

defmodule Bench.Pure.Name do
  # The names of header fields, as they are mostly spelled and in any other way.
  @moduledoc false

  import Bench.Pure.Scan, only: [lower: 1]

  @known ~w(Accept Accept-Encoding Accept-Language Alert-Info Allow Authentication-Info Authorization Call-ID Call-Info
            Contact Content-Disposition Content-Encoding Content-Language Content-Length Content-Type CSeq Date
            Error-Info Expires From In-Reply-To Max-Forwards MIME-Version Min-Expires Organization P-Asserted-Identity
            Priority Proxy-Authenticate Proxy-Authorization Proxy-Require Reason Record-Route Reply-To Require
            Retry-After Route Server Subject Supported Timestamp To Unsupported User-Agent Via Warning
            WWW-Authenticate)

  @registered ~w(Accept-Contact Accept-Resource-Priority Additional-Identity Allow-Events Answer-Mode
                 Cellular-Network-Info Content-ID Diversion Encryption Event Feature-Caps Flow-Timer Geolocation
                 Geolocation-Error Geolocation-Routing Hide History-Info Identity Identity-Info Info-Package Join
                 Max-Breadth Min-SE Origination-Id P-Access-Network-Info P-Answer-State P-Asserted-Service
                 P-Associated-URI P-Called-Party-ID P-Charge-Info P-Charging-Function-Addresses P-Charging-Vector
                 P-DCS-Billing-Info P-DCS-LAES P-DCS-OSPS P-DCS-Redirect P-DCS-Trace-Party-ID P-Early-Media
                 P-Media-Authorization P-Preferred-Identity P-Preferred-Service P-Private-Network-Indication
                 P-Profile-Key P-Refused-URI-List P-Served-User P-User-Database P-Visited-Network-ID Path
                 Permission-Missing Policy-Contact Policy-ID Priority-Share Priority-Verstat Priv-Answer-Mode Privacy
                 RAck Recv-Info Refer-Events-At Refer-Sub Refer-To Referred-By Reject-Contact Relayed-Charge Replaces
                 Request-Disposition Resource-Priority Resource-Share Response-Key Response-Source Restoration-Info
                 RSeq Security-Client Security-Server Security-Verify Service-Interact-Info Service-Route
                 Session-Expires Session-ID SIP-ETag SIP-If-Match Subscription-State Suppress-If-Match Target-Dialog
                 Trigger-Consent User-to-User)

  @compact %{
    "a" => "Accept-Contact",
    "b" => "Referred-By",
    "c" => "Content-Type",
    "d" => "Request-Disposition",
    "e" => "Content-Encoding",
    "f" => "From",
    "i" => "Call-ID",
    "j" => "Reject-Contact",
    "k" => "Supported",
    "l" => "Content-Length",
    "m" => "Contact",
    "n" => "Identity-Info",
    "o" => "Event",
    "r" => "Refer-To",
    "s" => "Subject",
    "t" => "To",
    "u" => "Allow-Events",
    "v" => "Via",
    "x" => "Session-Expires",
    "y" => "Identity"
  }

  atom = fn name -> name |> String.downcase() |> String.replace("-", "_") |> String.to_atom() end

  spelled =
    Map.merge(
      Map.new(@known, &{&1, atom.(&1)}),
      Map.new(@registered, &{&1, {&1, String.downcase(&1)}})
    )

  compact = Map.new(@compact, fn {letter, name} -> {letter, Map.fetch!(spelled, name)} end)
  lower = Map.new(spelled, fn {name, key} -> {String.downcase(name), key} end)

  @spelled Map.merge(spelled, compact)
  @lower Map.merge(lower, compact)

  @doc "The key of a known field; of any other `{name, lower}`, the name in the IANA spelling if it is registered."
  @spec key(String.t()) :: atom | {String.t(), String.t()}
  def key(name) do
    case @spelled do
      %{^name => key} ->
        key

      _other ->
        lower = lower(name)

        case @lower do
          %{^lower => key} -> key
          _unknown -> {name, lower}
        end
    end
  end
end
